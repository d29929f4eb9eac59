package web

import (
	"context"
	"net/http"

	"picloud/app/cloud"
)

type setupState struct {
	Needed bool `json:"needed"`
}

func (s *Server) getSetup(ctx context.Context, _ *request, _ none) (setupState, error) {
	needed, err := s.Control.SetupNeeded(ctx)
	return setupState{needed}, err
}

type setupInput struct {
	Token    string `json:"token" required:"true"`
	Username string `json:"username" required:"true"`
	Password string `json:"password" required:"true"`
}

func (s *Server) setup(ctx context.Context, q *request, in setupInput) (*identity, error) {
	u, token, err := s.Control.Setup(ctx, in.Token, in.Username, in.Password, q.from)
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, q, u, token)
}

type loginInput struct {
	Username string `json:"username" required:"true"`
	Password string `json:"password" required:"true"`
}

func (s *Server) login(ctx context.Context, q *request, in loginInput) (*identity, error) {
	u, token, err := s.Control.Login(ctx, in.Username, in.Password, q.from)
	if err != nil {
		return nil, err
	}
	return s.begin(ctx, q, u, token)
}

// begin answers a fresh session.
func (s *Server) begin(ctx context.Context, q *request, u *cloud.User, token string) (*identity, error) {
	p, err := s.Control.AuthenticateSession(ctx, token)
	if err != nil {
		return nil, err
	}
	s.setSession(q, token)
	q.who = p
	q.note(u.ID, "%s", u.Username)
	return &identity{User: *u, Roles: roles(p), Via: "session"}, nil
}

// logout ends the session; a key has none to end.
func (s *Server) logout(ctx context.Context, q *request, _ none) (none, error) {
	if q.who.Session.IsZero() {
		return none{}, nil
	}
	s.clearSession(q)
	return none{}, s.Control.Logout(ctx, q.who.Session)
}

// identity is who is calling.
type identity struct {
	cloud.User
	Roles  map[cloud.AppID]cloud.Role `json:"roles"` // memberships; owners and admins need none
	Via    string                     `json:"via"`   // session | key
	Scopes []cloud.Scope              `json:"scopes,omitempty"`
	AppID  cloud.AppID                `json:"app_id,omitzero"` // of a bound key
}

func (s *Server) me(ctx context.Context, q *request, _ none) (*identity, error) {
	u, err := s.Control.User(ctx, q.who.User)
	if err != nil {
		return nil, err
	}
	id := &identity{User: *u, Roles: roles(q.who), Via: "session"}
	if !q.who.Key.IsZero() {
		id.Via, id.Scopes, id.AppID = "key", q.who.Scopes, q.who.App
	} else if c, err := q.r.Cookie(sessionCookie); err == nil && s.SessionTTL > 0 {
		s.setSession(q, c.Value) // the session slides, so the browser's copy does too
	}
	return id, nil
}

func roles(p *cloud.Principal) map[cloud.AppID]cloud.Role {
	if p.Roles == nil {
		return map[cloud.AppID]cloud.Role{}
	}
	return p.Roles
}

type passwordInput struct {
	Current string `json:"current" required:"true"`
	New     string `json:"new" required:"true"`
}

func (s *Server) changePassword(ctx context.Context, q *request, in passwordInput) (none, error) {
	q.note(q.who.User, "")
	return none{}, s.Control.ChangePassword(ctx, q.who, in.Current, in.New)
}

func (s *Server) sessions(ctx context.Context, q *request, _ none) (list[*cloud.Session], error) {
	all, err := s.Control.Sessions(ctx, q.who.User)
	if err != nil {
		return list[*cloud.Session]{}, err
	}
	for i, one := range all {
		c := *one
		c.Current = c.ID == q.who.Session
		all[i] = &c
	}
	return listOf(all, "", nil)
}

func (s *Server) endSession(ctx context.Context, q *request, _ none) (none, error) {
	id, err := pathID[cloud.Session](q, "id")
	if err != nil {
		return none{}, err
	}
	if err := s.Control.EndSession(ctx, q.who.User, id); err != nil {
		return none{}, err
	}
	if id == q.who.Session {
		s.clearSession(q)
	}
	return none{}, nil
}

func (s *Server) getOpenAPI(_ context.Context, q *request, _ none) error {
	q.w.Header().Set("Cache-Control", "no-cache")
	writeBody(q.w, http.StatusOK, "application/json; charset=utf-8", s.openapi)
	return nil
}
