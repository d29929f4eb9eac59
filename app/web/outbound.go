package web

import (
	"cmp"
	"context"
	"strings"

	"picloud/app/outbound"
)

// outboundRules are what PUT sets and GET shows.
type outboundRules struct {
	Allow []string `json:"allow" required:"true"` // networks, addresses and hosts, like 10.0.0.0/8 or printer.lan
}

// outboundState is what GET shows.
type outboundState struct {
	outboundRules
	Failing []outbound.HostState `json:"failing"` // hosts that did not take what http.later sent last
}

func (s *Server) outbound(_ context.Context, q *request, _ none) (outboundState, error) {
	return outboundState{
		outboundRules: outboundRules{Allow: nonNil(s.Control.OutboundOf(q.appID))},
		Failing:       s.Breakers.Hosts(q.appID),
	}, nil
}

func (s *Server) setOutbound(ctx context.Context, q *request, in outboundRules) (outboundRules, error) {
	if err := s.Control.SetOutbound(ctx, q.appID, in.Allow); err != nil {
		return outboundRules{}, err
	}
	allow := nonNil(s.Control.OutboundOf(q.appID))
	q.note(q.appID, "%s", cmp.Or(strings.Join(allow, " "), "nothing"))
	return outboundRules{Allow: allow}, nil
}
