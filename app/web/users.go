package web

import (
	"context"

	"picloud/app/cloud"
	"picloud/app/control"
)

func (s *Server) users(ctx context.Context, _ *request, in pageQuery) (list[*cloud.User], error) {
	page, err := in.page()
	if err != nil {
		return list[*cloud.User]{}, err
	}
	return listOf(s.Control.Users(ctx, page))
}

type userInput struct {
	Username     string             `json:"username" required:"true"`
	Password     string             `json:"password" required:"true"`
	InstanceRole cloud.InstanceRole `json:"instance_role"` // member when left out
}

func (s *Server) createUser(ctx context.Context, q *request, in userInput) (*cloud.User, error) {
	role := in.InstanceRole
	if role == "" {
		role = cloud.Member
	}
	u, err := s.Control.CreateUser(ctx, q.who, control.UserInput{Username: in.Username, Password: in.Password, Role: role})
	if err != nil {
		return nil, err
	}
	q.note(u.ID, "%s as %s", u.Username, u.InstanceRole)
	return u, nil
}

func (s *Server) user(ctx context.Context, q *request, _ none) (*cloud.User, error) {
	id, err := pathID[cloud.User](q, "id")
	if err != nil {
		return nil, err
	}
	return s.Control.User(ctx, id)
}

func (s *Server) updateUser(ctx context.Context, q *request, in control.UserPatch) (*cloud.User, error) {
	id, err := pathID[cloud.User](q, "id")
	if err != nil {
		return nil, err
	}
	u, err := s.Control.UpdateUser(ctx, q.who, id, in)
	if err != nil {
		return nil, err
	}
	q.note(id, "%s", changed(in))
	return u, nil
}

func (s *Server) deleteUser(ctx context.Context, q *request, _ none) (none, error) {
	id, err := pathID[cloud.User](q, "id")
	if err != nil {
		return none{}, err
	}
	return none{}, s.Control.DeleteUser(ctx, q.who, id)
}

func (s *Server) keys(ctx context.Context, q *request, in pageQuery) (list[*cloud.Key], error) {
	page, err := in.page()
	if err != nil {
		return list[*cloud.Key]{}, err
	}
	return listOf(s.Control.Keys(ctx, q.who, page))
}

type keyInput struct {
	Name      string        `json:"name" required:"true"`
	Scopes    []cloud.Scope `json:"scopes" required:"true"`
	App       string        `json:"app"` // id or slug; the key then acts in this app alone
	ExpiresAt cloud.Time    `json:"expires_at"`
}

// newKey is a key as it is shown once.
type newKey struct {
	cloud.Key
	Secret string `json:"key"`
}

func (s *Server) createKey(ctx context.Context, q *request, in keyInput) (*newKey, error) {
	input := control.KeyInput{Name: in.Name, Scopes: in.Scopes, ExpiresAt: in.ExpiresAt}
	if in.App != "" {
		a, _, err := s.Control.App(ctx, q.who, in.App)
		if err != nil {
			return nil, err
		}
		input.App = a.ID
	}
	k, secret, err := s.Control.CreateKey(ctx, q.who, input)
	if err != nil {
		return nil, err
	}
	q.note(k.ID, "%s with %v", k.Name, k.Scopes)
	return &newKey{Key: *k, Secret: secret}, nil
}

func (s *Server) deleteKey(ctx context.Context, q *request, _ none) (none, error) {
	id, err := pathID[cloud.Key](q, "id")
	if err != nil {
		return none{}, err
	}
	return none{}, s.Control.DeleteKey(ctx, q.who, id)
}
