package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"reflect"

	"picloud/app/cloud"
	"picloud/app/deploy"
)

// maxDeployBody leaves room for the sources of a project, escaped.
const maxDeployBody = 2 * deploy.MaxSourceBytes

// projectInput is what an app is to hold.
type projectInput struct {
	Functions []functionInput `json:"functions" required:"true"`
	Prune     bool            `json:"prune"` // also delete what was made by hand
	Note      string          `json:"note"`
}

type functionInput struct {
	scriptInput
	File     string            `json:"file"` // where its author finds it, for messages
	Routes   []routeInput      `json:"routes"`
	Triggers []json.RawMessage `json:"triggers"` // each has its kind, and the fields of POST /triggers/{kind} without script_id
}

func (s *Server) deploy(ctx context.Context, q *request, in projectInput) (*deploy.Outcome, error) {
	p, err := s.project(q, in)
	if err != nil {
		return nil, err
	}
	out, err := s.Deployer.Deploy(ctx, q.who, q.appID, p)
	if err != nil {
		return nil, err
	}
	q.note(q.appID, "deployment %d: %d changes", out.Number, len(out.Changes))
	return out, nil
}

func (s *Server) planDeploy(ctx context.Context, q *request, in projectInput) (*deploy.Outcome, error) {
	p, err := s.project(q, in)
	if err != nil {
		return nil, err
	}
	return s.Deployer.Plan(ctx, q.who, q.appID, p)
}

// mayDeploy asks for what the parts of a deployment need one by one: a key without their
// scopes can't go round them.
func mayDeploy(q *request) error {
	for _, c := range []cloud.Capability{cloud.ScriptWrite, cloud.RouteWrite} {
		if !q.who.Can(c, q.appID) {
			return cloud.Errorf(cloud.Forbidden, "a deployment needs the capability %s, too: use a key with the scopes script:write, route:write and app:admin", c)
		}
	}
	return nil
}

const maxNote = 200 // bytes

// project makes the objects that an input names; its errors name each file at fault.
func (s *Server) project(q *request, in projectInput) (*deploy.Project, error) {
	if err := mayDeploy(q); err != nil {
		return nil, err
	}
	if len(in.Note) > maxNote {
		return nil, cloud.Errorf(cloud.Invalid, "note: has more than %d bytes", maxNote)
	}
	p := &deploy.Project{Prune: in.Prune, Note: in.Note}
	var errs []error
	for i := range in.Functions {
		f, err := s.function(q, &in.Functions[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.Functions = append(p.Functions, f)
	}
	return p, joinLines(errs)
}

// joinLines makes one error for people of several; the first gives the kind.
func joinLines(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	text := ""
	for _, err := range errs {
		var own *cloud.Error
		if !errors.As(err, &own) {
			return err
		}
		text += "\n" + own.Msg
	}
	return cloud.Errorf(cloud.KindOf(errs[0]), "%s", text[1:])
}

func (s *Server) function(q *request, in *functionInput) (*deploy.Function, error) {
	name := cmp.Or(in.File, in.Name)
	script, err := in.script(q.appID)
	if err != nil {
		return nil, prefixed(name, err)
	}
	f := &deploy.Function{File: in.File, Script: script}
	for i := range in.Routes {
		f.Routes = append(f.Routes, in.Routes[i].route())
	}
	for _, raw := range in.Triggers {
		t, err := s.triggerFrom(raw)
		if err != nil {
			return nil, prefixed(name, err)
		}
		f.Triggers = append(f.Triggers, t)
	}
	return f, nil
}

func prefixed(name string, err error) error {
	var own *cloud.Error
	if !errors.As(err, &own) {
		return err
	}
	return cloud.Errorf(own.Kind, "%s: %s", name, own.Msg)
}

// triggerFrom makes a trigger of the kind that raw names, from the fields that the endpoint
// for that kind takes: a kind that has an endpoint can be deployed.
func (s *Server) triggerFrom(raw []byte) (*cloud.Trigger, error) {
	var fields map[string]json.RawMessage
	var kind string
	if json.Unmarshal(raw, &fields) != nil || json.Unmarshal(fields["kind"], &kind) != nil {
		return nil, cloud.Errorf(cloud.Invalid, `triggers: want objects with their kind, such as {"kind":"kv","collection_glob":"visits"}`)
	}
	in := s.triggerInput(kind)
	if !in.IsValid() {
		return nil, cloud.Errorf(cloud.Invalid, "triggers: there are no triggers of kind %q", kind)
	}
	if _, given := fields["script_id"]; given {
		return nil, cloud.Errorf(cloud.Invalid, "triggers: leave script_id out: a trigger fires the function that it stands in")
	}
	delete(fields, "kind")
	fields["script_id"] = json.RawMessage("null")
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	if err := decodeValue(body, in, ""); err != nil {
		return nil, within(kind+" trigger", err)
	}
	return in.Interface().(triggerMaker).make()
}

// within is prefixed, for a body that is well-formed but says what can't be.
func within(where string, err error) error {
	return cloud.Errorf(cloud.Invalid, "%s: %s", where, cloud.Message(err))
}

// triggerInput is an empty input of a kind's endpoint; not valid when there is none.
func (s *Server) triggerInput(kind string) reflect.Value {
	for i := range s.endpoints {
		e := &s.endpoints[i]
		if e.method == "POST" && e.path == triggerPath+kind && e.run.in.Implements(reflect.TypeFor[triggerMaker]()) {
			return reflect.New(e.run.in).Elem()
		}
	}
	return reflect.Value{}
}

const triggerPath = "/admin/apps/{app}/triggers/"

func (s *Server) deployments(ctx context.Context, q *request, _ none) (list[*deploy.Deployment], error) {
	found, err := s.Deployer.Deployments(ctx, q.appID)
	return listOf(found, "", err)
}

type rollbackAppInput struct {
	Number int `json:"number"` // of a deployment; 0 or left out: the one before that in force
}

func (s *Server) rollbackApp(ctx context.Context, q *request, in rollbackAppInput) (*deploy.Outcome, error) {
	if err := mayDeploy(q); err != nil {
		return nil, err
	}
	out, err := s.Deployer.Rollback(ctx, q.who, q.appID, in.Number)
	if err != nil {
		return nil, err
	}
	q.note(q.appID, "deployment %d: %d changes", out.Number, len(out.Changes))
	return out, nil
}

func (s *Server) planRollback(ctx context.Context, q *request, in rollbackAppInput) (*deploy.Outcome, error) {
	if err := mayDeploy(q); err != nil {
		return nil, err
	}
	return s.Deployer.PlanRollback(ctx, q.who, q.appID, in.Number)
}
