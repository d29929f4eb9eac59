package web

import (
	"context"

	"picloud/app/data"
)

func (s *Server) secrets(ctx context.Context, q *request, in pageQuery) (list[data.Secret], error) {
	page, err := in.page()
	if err != nil {
		return list[data.Secret]{}, err
	}
	return listOf(s.Secrets.List(ctx, q.appID, page))
}

type secretInput struct {
	Value string `json:"value" required:"true"` // 1 byte to 64 KiB of text; nothing ever shows it again
}

func (s *Server) putSecret(ctx context.Context, q *request, in secretInput) (data.Secret, error) {
	q.resource = q.param("name")
	return s.Secrets.Put(ctx, q.appID, q.param("name"), in.Value)
}

func (s *Server) deleteSecret(ctx context.Context, q *request, _ none) (none, error) {
	q.resource = q.param("name")
	return none{}, s.Secrets.Delete(ctx, q.appID, q.param("name"))
}
