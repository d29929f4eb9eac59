package web

import (
	"cmp"
	"context"
	"reflect"
	"strings"

	"picloud/app/cloud"
	"picloud/app/control"
)

// appView is an app as one principal sees it.
type appView struct {
	cloud.App
	MyRole cloud.Role `json:"my_role"`
}

func (s *Server) view(q *request, a *cloud.App, unresolved int) *appView {
	v := &appView{App: *a, MyRole: q.who.RoleIn(a.ID)}
	v.UnresolvedDeadLetters = unresolved
	return v
}

func (s *Server) apps(ctx context.Context, q *request, in pageQuery) (list[*appView], error) {
	page, err := in.page()
	if err != nil {
		return list[*appView]{}, err
	}
	found, next, err := s.Control.Apps(ctx, q.who, page)
	if err != nil {
		return list[*appView]{}, err
	}
	unresolved, err := s.Outbox.Unresolved(ctx)
	if err != nil {
		return list[*appView]{}, err
	}
	views := make([]*appView, len(found))
	for i, a := range found {
		views[i] = s.view(q, a, unresolved[a.ID])
	}
	return listOf(views, next, nil)
}

type appInput struct {
	Slug        string `json:"slug" required:"true"`
	Name        string `json:"name"` // the slug when left out
	Description string `json:"description"`
}

func (s *Server) createApp(ctx context.Context, q *request, in appInput) (*appView, error) {
	a, err := s.Control.CreateApp(ctx, q.who, in.Slug, cmp.Or(in.Name, in.Slug), in.Description)
	if err != nil {
		return nil, err
	}
	q.appID = a.ID
	q.note(a.ID, "%s", a.Slug)
	return s.view(q, a, 0), nil
}

func (s *Server) getApp(ctx context.Context, q *request, _ none) (*appView, error) {
	n, err := s.Outbox.CountUnresolved(ctx, q.appID)
	return s.view(q, q.app, n), err
}

func (s *Server) updateApp(ctx context.Context, q *request, in control.AppPatch) (*appView, error) {
	a, err := s.Control.UpdateApp(ctx, q.appID, in)
	if err != nil {
		return nil, err
	}
	q.note(a.ID, "%s", changed(in))
	n, err := s.Outbox.CountUnresolved(ctx, a.ID)
	return s.view(q, a, n), err
}

type deleteAppQuery struct {
	Cascade bool `json:"cascade"`
}

func (s *Server) deleteApp(ctx context.Context, q *request, in deleteAppQuery) (none, error) {
	q.note(q.appID, "%s", q.app.Slug)
	return none{}, s.Control.DeleteApp(ctx, q.appID, in.Cascade)
}

// changed names the fields that a patch sets, for the audit log: names only, since a value
// may be a secret or a source.
func changed(patch any) string {
	v := reflect.ValueOf(patch)
	var names []string
	for _, f := range fieldsOf(v.Type()) {
		if !v.FieldByIndex(f.index).IsZero() {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ", ")
}

func (s *Server) members(ctx context.Context, q *request, in pageQuery) (list[*control.Membership], error) {
	page, err := in.page()
	if err != nil {
		return list[*control.Membership]{}, err
	}
	return listOf(s.Control.Members(ctx, q.appID, page))
}

func (s *Server) member(ctx context.Context, q *request, _ none) (*control.Membership, error) {
	u, err := pathID[cloud.User](q, "user_id")
	if err != nil {
		return nil, err
	}
	return s.Control.Membership(ctx, q.appID, u)
}

type memberInput struct {
	Role cloud.Role `json:"role" required:"true"`
}

func (s *Server) setMember(ctx context.Context, q *request, in memberInput) (*control.Membership, error) {
	u, err := pathID[cloud.User](q, "user_id")
	if err != nil {
		return nil, err
	}
	m, err := s.Control.SetMember(ctx, q.appID, u, in.Role)
	if err != nil {
		return nil, err
	}
	q.note(u, "%s as %s", m.Username, m.Role)
	return m, nil
}

func (s *Server) removeMember(ctx context.Context, q *request, _ none) (none, error) {
	u, err := pathID[cloud.User](q, "user_id")
	if err != nil {
		return none{}, err
	}
	q.note(u, "")
	return none{}, s.Control.RemoveMember(ctx, q.appID, u)
}

func (s *Server) domains(ctx context.Context, q *request, in pageQuery) (list[*cloud.Domain], error) {
	page, err := in.page()
	if err != nil {
		return list[*cloud.Domain]{}, err
	}
	return listOf(s.Control.Domains(ctx, q.appID, page))
}

type domainInput struct {
	Host string `json:"host" required:"true"`
	Kind string `json:"kind"` // exact when left out
}

func (s *Server) createDomain(ctx context.Context, q *request, in domainInput) (*cloud.Domain, error) {
	d, err := s.Control.CreateDomain(ctx, q.appID, in.Host, cmp.Or(in.Kind, "exact"))
	if err != nil {
		return nil, err
	}
	q.note(d.ID, "%s", d.Host)
	return d, nil
}

func (s *Server) deleteDomain(ctx context.Context, q *request, _ none) (none, error) {
	id, err := pathID[cloud.Domain](q, "id")
	if err != nil {
		return none{}, err
	}
	return none{}, s.Control.DeleteDomain(ctx, q.appID, id)
}

func (s *Server) audit(ctx context.Context, _ *request, in pageQuery) (list[*cloud.AuditEntry], error) {
	return s.auditOf(ctx, cloud.AppID{}, in)
}

func (s *Server) appAudit(ctx context.Context, q *request, in pageQuery) (list[*cloud.AuditEntry], error) {
	return s.auditOf(ctx, q.appID, in)
}

func (s *Server) auditOf(ctx context.Context, app cloud.AppID, in pageQuery) (list[*cloud.AuditEntry], error) {
	page, err := in.page()
	if err != nil {
		return list[*cloud.AuditEntry]{}, err
	}
	return listOf(s.Control.AuditEntries(ctx, app, page))
}
