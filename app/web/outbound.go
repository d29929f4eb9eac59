package web

import (
	"cmp"
	"context"
	"strings"
)

// outboundRules are what PUT sets and GET shows.
type outboundRules struct {
	Allow []string `json:"allow" required:"true"` // networks, addresses and hosts, like 10.0.0.0/8 or printer.lan
}

func (s *Server) outbound(_ context.Context, q *request, _ none) (outboundRules, error) {
	return outboundRules{Allow: nonNil(s.Control.OutboundOf(q.appID))}, nil
}

func (s *Server) setOutbound(ctx context.Context, q *request, in outboundRules) (outboundRules, error) {
	if err := s.Control.SetOutbound(ctx, q.appID, in.Allow); err != nil {
		return outboundRules{}, err
	}
	allow := nonNil(s.Control.OutboundOf(q.appID))
	q.note(q.appID, "%s", cmp.Or(strings.Join(allow, " "), "nothing"))
	return outboundRules{Allow: allow}, nil
}
