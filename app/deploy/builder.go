package deploy

import (
	"slices"

	"picloud/app/cloud"
)

// builder fills a plan: it matches what a project wants with what an app has. Scripts are
// matched by name, routes by all that they do. So are triggers; but one of the project's
// whose match is gone becomes the next of its kind, and keeps its id and its waiting rows.
type builder struct {
	*plan
	wanted   map[string]*Function         // by name
	ofScript map[cloud.ScriptID]*Function // as wanted
	names    map[cloud.ScriptID]string    // of all scripts that there are and will be
	had      owned                        // by the deployment before
	stays    owned                        // of what is there
	touched  owned                        // what is there and is the project's, now or from now on, or goes
	matched  map[*cloud.Trigger]bool      // of the wanted ones
}

func newBuilder(p *plan) *builder {
	b := &builder{
		plan: p, wanted: map[string]*Function{}, ofScript: map[cloud.ScriptID]*Function{}, names: map[cloud.ScriptID]string{},
		had: p.before.last.owned(), stays: owned{}, touched: owned{}, matched: map[*cloud.Trigger]bool{},
	}
	for _, s := range p.before.scripts {
		b.names[s.ID] = s.Name
	}
	return b
}

// function matches one function. Its routes and triggers come after those of all functions
// have got their scripts' ids; those don't depend on each other.
func (b *builder) function(f *Function) error {
	if other := b.wanted[f.Script.Name]; other != nil {
		return cloud.Errorf(cloud.Invalid, "the function %q is in %s already: give one of them another name", f.Script.Name, other.name())
	}
	b.script(f)
	b.wanted[f.Script.Name], b.ofScript[f.Script.ID] = f, f
	b.names[f.Script.ID] = f.Script.Name
	b.functions = append(b.functions, f)
	for _, r := range f.Routes {
		b.route(f, r)
	}
	for _, exact := range []bool{true, false} {
		for _, t := range f.Triggers {
			b.trigger(f, t, exact)
		}
	}
	return nil
}

func (b *builder) script(f *Function) {
	s := f.Script
	i := slices.IndexFunc(b.before.scripts, func(o *cloud.Script) bool { return o.Name == s.Name })
	if i < 0 {
		s.ID = b.freeID(s.ID)
		b.scripts.made = append(b.scripts.made, s)
		b.note(Create, "script", f, s.Name, nil, false)
		return
	}
	old := b.before.scripts[i]
	s.ID, s.Version, s.CreatedAt, s.UpdatedAt = old.ID, old.Version, old.CreatedAt, old.UpdatedAt
	b.stay([16]byte(old.ID))
	if fields := differing(old, s); len(fields) > 0 {
		b.scripts.updated = append(b.scripts.updated, s)
		b.note(Update, "script", f, s.Name, fields, !b.had[[16]byte(old.ID)])
	}
}

// freeID is the id that a script had before, or a new one when it has none or the id is in
// use under another name.
func (b *builder) freeID(id cloud.ScriptID) cloud.ScriptID {
	if _, used := b.names[id]; used || id.IsZero() {
		return cloud.NewID[cloud.ScriptID]()
	}
	return id
}

func (b *builder) route(f *Function, r *cloud.Route) {
	r.ScriptID = f.Script.ID
	for _, o := range b.before.routes {
		if o.ScriptID == r.ScriptID && !b.stays[[16]byte(o.ID)] && len(differing(o, r)) == 0 {
			r.ID, r.CreatedAt = o.ID, o.CreatedAt
			b.stay([16]byte(o.ID))
			return
		}
	}
	if r.ID.IsZero() || slices.ContainsFunc(b.before.routes, func(o *cloud.Route) bool { return o.ID == r.ID }) {
		r.ID = cloud.NewID[cloud.RouteID]()
	}
	r.CreatedAt = 0
	b.routes.made = append(b.routes.made, r)
	b.note(Create, "route", f, describeRoute(r), nil, false)
}

// trigger matches t with one that does the same or, when not exact, with any of the
// project's of its kind that has no match; failing that it is made.
func (b *builder) trigger(f *Function, t *cloud.Trigger, exact bool) {
	if b.matched[t] { // in the first round
		return
	}
	t.ScriptID = f.Script.ID
	for _, o := range b.before.triggers {
		if o.ScriptID != t.ScriptID || o.Kind != t.Kind || b.stays[[16]byte(o.ID)] {
			continue
		}
		fields := differing(o, t)
		if exact && len(fields) > 0 || !exact && !b.had[[16]byte(o.ID)] {
			continue
		}
		t.ID, t.RegisteredByPrincipal, t.CreatedAt, t.UpdatedAt = o.ID, o.RegisteredByPrincipal, o.CreatedAt, o.UpdatedAt
		b.stay([16]byte(o.ID))
		b.matched[t] = true
		if len(fields) > 0 {
			b.triggers.updated = append(b.triggers.updated, t)
			b.note(Update, "trigger", f, describeTrigger(t), fields, false)
		}
		return
	}
	if exact {
		return
	}
	if t.ID.IsZero() || slices.ContainsFunc(b.before.triggers, func(o *cloud.Trigger) bool { return o.ID == t.ID }) {
		t.ID = cloud.NewID[cloud.TriggerID]()
	}
	b.triggers.made = append(b.triggers.made, t)
	b.note(Create, "trigger", f, describeTrigger(t), nil, false)
}

// finish decides on everything that is there and that the project doesn't have.
func (b *builder) finish(prune bool) {
	gone := map[cloud.ScriptID]bool{}
	for _, s := range b.before.scripts {
		if gone[s.ID] = b.leaves([16]byte(s.ID), prune, "script", s.ID, s.Name); gone[s.ID] {
			b.scripts.gone = append(b.scripts.gone, s)
		}
	}
	for _, r := range b.before.routes {
		if b.leaves([16]byte(r.ID), prune || gone[r.ScriptID], "route", r.ScriptID, describeRoute(r)) {
			b.routes.gone = append(b.routes.gone, r)
		}
	}
	for _, t := range b.before.triggers {
		if b.leaves([16]byte(t.ID), prune || gone[t.ScriptID], "trigger", t.ScriptID, describeTrigger(t)) {
			b.triggers.gone = append(b.triggers.gone, t)
		}
	}
	b.found = b.asItIs()
}

// leaves decides on one thing. What was made by hand goes only when it must.
func (b *builder) leaves(id [16]byte, must bool, what string, of cloud.ScriptID, name string) bool {
	if b.stays[id] {
		return false
	}
	byHand := !b.had[id]
	c := &Change{Action: Delete, What: what, Function: b.names[of], Name: name, ByHand: byHand}
	if byHand && !must {
		c.Action = Keep
		b.byHand = append(b.byHand, c)
		return false
	}
	b.touched[id] = true
	b.list = append(b.list, c)
	return true
}

// asItIs are the functions that are touched, before they are.
func (b *builder) asItIs() []*Function {
	var found []*Function
	for _, s := range b.before.scripts {
		if !b.touched[[16]byte(s.ID)] {
			continue
		}
		f := &Function{Script: s, File: b.before.last.file(s.ID)}
		for _, r := range b.before.routes {
			if r.ScriptID == s.ID && b.touched[[16]byte(r.ID)] {
				f.Routes = append(f.Routes, r)
			}
		}
		for _, t := range b.before.triggers {
			if t.ScriptID == s.ID && b.touched[[16]byte(t.ID)] {
				f.Triggers = append(f.Triggers, t)
			}
		}
		found = append(found, f)
	}
	return found
}

func (b *builder) stay(id [16]byte) { b.stays[id], b.touched[id] = true, true }

func (b *builder) note(action, what string, f *Function, name string, fields []string, byHand bool) {
	b.list = append(b.list, &Change{Action: action, What: what, Function: f.Script.Name, Name: name, Fields: fields, ByHand: byHand})
}
