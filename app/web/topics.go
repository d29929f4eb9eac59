package web

import (
	"cmp"
	"context"
	"encoding/json"

	"picloud/app/cloud"
	"picloud/app/data"
)

func (s *Server) topics(ctx context.Context, q *request, in pageQuery) (list[*data.Topic], error) {
	page, err := in.page()
	if err != nil {
		return list[*data.Topic]{}, err
	}
	return listOf(s.Data.Topics(ctx, q.appID, page))
}

func (s *Server) topic(ctx context.Context, q *request, _ none) (*data.Topic, error) {
	return s.Data.Topic(ctx, q.appID, q.param("topic"))
}

type topicInput struct {
	ExternalSubscribable bool   `json:"external_subscribable" required:"true"`
	AuthMode             string `json:"auth_mode"` // token when left out
}

// putTopic is an endpoint of its own so that opening a topic to the outside is a deliberate,
// audited act.
func (s *Server) putTopic(ctx context.Context, q *request, in topicInput) (*data.Topic, error) {
	t, err := s.Data.PutTopic(ctx, q.appID, data.Topic{
		Topic: q.param("topic"), ExternalSubscribable: in.ExternalSubscribable, AuthMode: cmp.Or(in.AuthMode, data.AuthToken),
	})
	if err != nil {
		return nil, err
	}
	q.resource, q.detail = t.Topic, "internal"
	if t.ExternalSubscribable {
		q.detail = "external, " + t.AuthMode
	}
	return t, nil
}

func (s *Server) deleteTopic(ctx context.Context, q *request, _ none) (none, error) {
	q.resource = q.param("topic")
	return none{}, s.Data.DeleteTopic(ctx, q.appID, q.param("topic"))
}

type publishInput struct {
	Message json.RawMessage `json:"message" required:"true"`
}

type publishAnswer struct {
	Topic       string     `json:"topic"`
	PublishedAt cloud.Time `json:"published_at"`
}

func (s *Server) publish(ctx context.Context, q *request, in publishInput) (publishAnswer, error) {
	topic := q.param("topic")
	at, err := s.Data.Publish(ctx, q.origin(), topic, in.Message)
	q.resource = topic
	return publishAnswer{topic, at}, err
}
