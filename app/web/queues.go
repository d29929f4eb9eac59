package web

import (
	"context"
	"encoding/json"
	"time"

	"picloud/app/cloud"
	"picloud/app/outbox"
)

func (s *Server) queues(ctx context.Context, q *request, in pageQuery) (list[*cloud.Queue], error) {
	page, err := in.page()
	if err != nil {
		return list[*cloud.Queue]{}, err
	}
	return listOf(s.Outbox.Queues(ctx, q.appID, page))
}

func (s *Server) messages(ctx context.Context, q *request, in pageQuery) (list[*cloud.QueueMessage], error) {
	page, err := in.page()
	if err != nil {
		return list[*cloud.QueueMessage]{}, err
	}
	return listOf(s.Outbox.Messages(ctx, q.appID, q.param("name"), page))
}

// messageInput has the message under the name that scripts give it when they send it, or the
// one under which they receive it.
type messageInput struct {
	Message         json.RawMessage `json:"message"`
	Body            json.RawMessage `json:"body"`             // the same as message: give one of them
	Key             string          `json:"key"`              // messages with one key run in order, one at a time
	DelaySeconds    float64         `json:"delay_seconds"`    // until it may be taken
	DeduplicationID string          `json:"deduplication_id"` // a second message with it is not stored, for some minutes
}

type sentMessage struct {
	ID        cloud.RowID `json:"id"` // of the event: GET /executions/{id} tells its state
	Queue     string      `json:"queue"`
	Duplicate bool        `json:"duplicate"` // the id is of the message that had the deduplication id before
}

func (s *Server) sendMessage(ctx context.Context, q *request, in messageInput) (sentMessage, error) {
	name := q.param("name")
	if (in.Message == nil) == (in.Body == nil) {
		return sentMessage{}, cloud.Errorf(cloud.Invalid, "message: want the message, as any JSON value")
	}
	if !(in.DelaySeconds >= 0 && in.DelaySeconds <= outbox.MaxDelay.Seconds()) {
		return sentMessage{}, cloud.Errorf(cloud.Invalid, "delay_seconds: want 0 to %.0f", outbox.MaxDelay.Seconds())
	}
	body := in.Message
	if body == nil {
		body = in.Body
	}
	id, duplicate, err := s.Outbox.Send(ctx, q.origin(), outbox.QueueInput{
		Queue: name, Body: body, Key: in.Key, DeduplicationID: in.DeduplicationID,
		Delay: time.Duration(in.DelaySeconds * float64(time.Second)),
	})
	q.resource = name
	return sentMessage{id, name, duplicate}, err
}

func (s *Server) purgeQueue(ctx context.Context, q *request, _ none) (none, error) {
	q.resource = q.param("name")
	return none{}, s.Outbox.Purge(ctx, q.appID, q.param("name"))
}

func (s *Server) pauseQueue(ctx context.Context, q *request, _ none) (none, error) {
	q.resource = q.param("name")
	return none{}, s.Outbox.Pause(ctx, q.appID, q.param("name"))
}

func (s *Server) resumeQueue(ctx context.Context, q *request, _ none) (none, error) {
	q.resource = q.param("name")
	return none{}, s.Outbox.Resume(ctx, q.appID, q.param("name"))
}
