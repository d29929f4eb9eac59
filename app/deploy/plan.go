package deploy

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"picloud/app/cloud"
	"picloud/app/route"
	"picloud/db"
)

// plan is a deployment that was checked, and the app as it was then.
type plan struct {
	app       cloud.AppID
	before    *current
	functions []*Function // as they will be, with their ids
	found     []*Function // what the deployment owns or takes over, as it is now

	scripts  changes[cloud.Script]
	routes   changes[cloud.Route]
	triggers changes[cloud.Trigger]
	list     []*Change
	byHand   []*Change
}

// changes of one sort of thing.
type changes[T any] struct{ made, updated, gone []*T }

func (c *changes[T]) any() bool { return len(c.made)+len(c.updated)+len(c.gone) > 0 }

// changesAnything is also true when nothing but the ownership of something changes.
func (p *plan) changesAnything() bool {
	if p.scripts.any() || p.routes.any() || p.triggers.any() {
		return true
	}
	return !maps.Equal(p.before.last.owned(), ownedBy(p.functions))
}

func (p *plan) outcome() *Outcome {
	return &Outcome{Changes: nonNil(p.list), ByHand: nonNil(p.byHand)}
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// prepare reads the app, checks everything about the project, and says what is to be done.
// Routing is held.
func (d *Deployer) prepare(ctx context.Context, by *cloud.Principal, app cloud.AppID, p *Project) (*plan, error) {
	pl := &plan{app: app}
	err := d.db.View(ctx, func(_ context.Context, rx *db.Rx) (err error) {
		pl.before, err = d.read(rx, app)
		return err
	})
	if err != nil {
		return nil, err
	}
	b := newBuilder(pl)
	var wrong faults
	for _, f := range p.Functions {
		err := d.check(by, app, f)
		if err == nil {
			err = b.function(f)
		}
		wrong.add(f, err)
	}
	for _, s := range slices.Concat(pl.scripts.made, pl.scripts.updated) {
		wrong.add(b.wanted[s.Name], d.control.CompileScript(ctx, s))
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	b.finish(p.Prune)
	for i, r := range pl.routes.made {
		wrong.add(b.ofScript[r.ScriptID], d.control.FreeRoute(ctx, r, pl.routes.gone, pl.routes.made[:i]))
	}
	return pl, wrong.err()
}

// check fills in defaults of a function and checks all of it, but for what depends on the
// rest of the app and for the source's syntax.
func (d *Deployer) check(by *cloud.Principal, app cloud.AppID, f *Function) error {
	f.Script.AppID = app
	errs := []error{d.control.FillScript(f.Script)}
	if f.Script.Kind == cloud.KindModule && len(f.Routes)+len(f.Triggers) > 0 {
		errs = append(errs, cloud.Errorf(cloud.Invalid, "a module is imported by others: it has no routes and no triggers"))
	}
	for _, r := range f.Routes {
		r.AppID = app
		if err := route.Check(r); err != nil {
			errs = append(errs, within("route "+r.Path, err))
		}
	}
	for _, t := range f.Triggers {
		t.AppID = app
		if by != nil {
			t.RegisteredByPrincipal = by.User
		}
		if err := d.outbox.CheckTrigger(t); err != nil {
			errs = append(errs, within(t.Kind+" trigger", err))
		}
	}
	return errors.Join(errs...)
}

// within says where in a file an error for people is.
func within(where string, err error) error {
	var own *cloud.Error
	if !errors.As(err, &own) {
		return err
	}
	return cloud.Errorf(own.Kind, "%s: %s", where, own.Msg)
}

// faults are what is wrong with the functions of a project.
type faults struct {
	kind     cloud.Kind
	messages []string
	other    error // the platform's
}

func (f *faults) add(of *Function, err error) {
	var own *cloud.Error
	var many interface{ Unwrap() []error }
	switch {
	case err == nil:
	case errors.As(err, &many):
		for _, e := range many.Unwrap() {
			f.add(of, e)
		}
	case errors.As(err, &own):
		f.kind = cmp.Or(f.kind, own.Kind)
		f.messages = append(f.messages, of.name()+": "+own.Msg)
	default:
		f.other = cmp.Or(f.other, err)
	}
}

// err names every file at fault, one a line.
func (f *faults) err() error {
	if f.other != nil || len(f.messages) == 0 {
		return f.other
	}
	return cloud.Errorf(f.kind, "%s", strings.Join(f.messages, "\n"))
}
