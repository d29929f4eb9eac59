package web

import (
	"cmp"
	"context"

	"picloud/app/cloud"
)

func (s *Server) quotas(ctx context.Context, q *request, _ none) (cloud.Quotas, error) {
	return s.Control.Quotas(ctx, q.appID)
}

func (s *Server) setQuotas(ctx context.Context, q *request, in cloud.Quotas) (cloud.Quotas, error) {
	if err := s.Control.SetQuotas(ctx, q.appID, in); err != nil {
		return cloud.Quotas{}, err
	}
	q.note(q.appID, "%s", cmp.Or(changed(in), "none"))
	return s.Control.Quotas(ctx, q.appID)
}
