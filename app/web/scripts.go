package web

import (
	"context"

	"picloud/app/cloud"
	"picloud/app/control"
)

func (s *Server) scripts(ctx context.Context, q *request, in pageQuery) (list[*cloud.Script], error) {
	page, err := in.page()
	if err != nil {
		return list[*cloud.Script]{}, err
	}
	return listOf(s.Control.Scripts(ctx, q.appID, page))
}

type scriptInput struct {
	Name           string       `json:"name" required:"true"`
	Description    string       `json:"description"`
	Source         string       `json:"source" required:"true"`
	Kind           string       `json:"kind"`            // function | module
	Engine         string       `json:"engine"`          // quickjs | otto
	Isolation      string       `json:"isolation"`       // warm | fresh
	TimeoutSeconds *int         `json:"timeout_seconds"` // 1-300, 30 when left out
	Limits         cloud.Limits `json:"limits"`
}

// script is the one that in asks for, for an app.
func (in *scriptInput) script(app cloud.AppID) (*cloud.Script, error) {
	sc := &cloud.Script{
		AppID: app, Name: in.Name, Description: in.Description, Source: in.Source,
		Kind: in.Kind, Engine: in.Engine, Isolation: in.Isolation, Limits: in.Limits,
	}
	if in.TimeoutSeconds != nil {
		sc.TimeoutSeconds = *in.TimeoutSeconds
	}
	return sc, checkTimeout(in.TimeoutSeconds)
}

func (s *Server) createScript(ctx context.Context, q *request, in scriptInput) (*cloud.Script, error) {
	sc, err := in.script(q.appID)
	if err != nil {
		return nil, err
	}
	if err := s.Control.CreateScript(ctx, q.who, sc); err != nil {
		return nil, err
	}
	q.note(sc.ID, "%s", sc.Name)
	return sc, nil
}

// checkTimeout refuses a zero that was asked for: to control it would mean the default.
func checkTimeout(seconds *int) error {
	if seconds != nil && *seconds < 1 {
		return cloud.Errorf(cloud.Invalid, "timeout_seconds: want 1 to 300")
	}
	return nil
}

func (s *Server) getScript(_ context.Context, q *request, _ none) (*cloud.Script, error) {
	return q.script, nil
}

func (s *Server) updateScript(ctx context.Context, q *request, in control.ScriptPatch) (*cloud.Script, error) {
	if err := checkTimeout(in.TimeoutSeconds); err != nil {
		return nil, err
	}
	sc, err := s.Control.UpdateScript(ctx, q.who, q.script.ID, in)
	if err != nil {
		return nil, err
	}
	q.note(sc.ID, "%s: %s, version %d", sc.Name, changed(in), sc.Version)
	return sc, nil
}

func (s *Server) deleteScript(ctx context.Context, q *request, _ none) (none, error) {
	q.note(q.script.ID, "%s", q.script.Name)
	return none{}, s.Control.DeleteScript(ctx, q.script.ID)
}

func (s *Server) versions(ctx context.Context, q *request, in pageQuery) (list[*control.Version], error) {
	page, err := in.page()
	if err != nil {
		return list[*control.Version]{}, err
	}
	return listOf(s.Control.Versions(ctx, q.script.ID, page))
}

type rollbackInput struct {
	Version int `json:"version" required:"true"`
}

func (s *Server) rollback(ctx context.Context, q *request, in rollbackInput) (*cloud.Script, error) {
	sc, err := s.Control.Rollback(ctx, q.who, q.script.ID, in.Version)
	if err != nil {
		return nil, err
	}
	q.note(sc.ID, "%s: to version %d, now %d", sc.Name, in.Version, sc.Version)
	return sc, nil
}

// ownScript checks that a script named in a body is of the request's app; another app's is
// answered like one that doesn't exist.
func (s *Server) ownScript(ctx context.Context, q *request, id cloud.ScriptID) error {
	sc, err := s.Control.Script(ctx, id)
	if err != nil && cloud.KindOf(err) != cloud.NotFound {
		return err
	}
	if err != nil || sc.AppID != q.appID {
		return cloud.Errorf(cloud.NotFound, "script_id: no such script in this app")
	}
	if sc.Kind == cloud.KindModule {
		return cloud.Errorf(cloud.Invalid, "script_id: %s is a module, which others import: it handles nothing itself", sc.Name)
	}
	return nil
}
