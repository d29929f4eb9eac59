// Package route is the table that finds the script for a host, method and path. It is
// pure, immutable once compiled, and swapped as a whole.
//
// # Hosts
//
// A domain gives a host to one app: an exact domain before a wildcard, a longer wildcard
// before a shorter one. On a claimed host only its owner's routes answer, those for any
// host included. On a host that nobody claimed all apps' routes for that host or for any
// host answer; where their patterns and methods are equal the oldest app (lowest id) wins,
// and the others stay reachable as /~slug/…, which reaches one app's routes on every host
// that no other app has claimed.
//
// # Paths
//
// A pattern without a trailing slash matches the path with and without one; a pattern that
// is written with it matches only the path that has it, and goes first there.
//
//	kind     pattern           matches
//	exact    /a/b              /a/b  /a/b/
//	exact    /a/b/             /a/b/
//	param    /users/:id        /users/7  /users/7/   (:id is one segment, never empty)
//	prefix   /files            /files  /files/  /files/x/y   (the rest is "", "", "x/y")
//	prefix   /files/           /files/  /files/x/y
//
// # Order
//
// Of all routes that match host, path and method the first one answers: exact host, longer
// wildcard, any; then exact, param (more literal segments first, then the one whose literals
// stand further left), longer prefix; then the method given (for HEAD also GET), any method.
package route

import (
	"slices"
	"strings"

	"picloud/app/cloud"
)

// Table is a compiled set of routes and domains. It never changes: With, Without and
// WithHosts return new tables that share what stayed the same.
type Table struct {
	all   *hosts // every app's routes, for hosts that nobody claimed
	apps  map[cloud.AppID]*hosts
	slugs map[string]cloud.AppID

	exact map[string]cloud.AppID // claimed hosts
	wild  map[string]cloud.AppID // claimed wildcards, without "*."
}

// Compile builds a table. slugs are the apps reachable as /~slug/ (former slugs are not in
// it); the table keeps the map, so the caller must not change it any more. Routes must have
// passed Check; one that has not is an error that names it.
func Compile(routes []*cloud.Route, domains []*cloud.Domain, slugs map[string]cloud.AppID) (*Table, error) {
	t := &Table{all: new(hosts), apps: map[cloud.AppID]*hosts{}}
	for _, r := range routes {
		e, err := newEntry(r)
		if err != nil {
			return nil, err
		}
		t.all.add(e, false)
		own := t.apps[r.AppID]
		if own == nil {
			own = new(hosts)
			t.apps[r.AppID] = own
		}
		own.add(e, false)
	}
	return t.WithHosts(domains, slugs), nil
}

// With returns the table with one route more. It costs far less than compiling again, but
// not nothing: many routes at once are cheaper to Compile.
func (t *Table) With(r *cloud.Route) (*Table, error) {
	e, err := newEntry(r)
	if err != nil {
		return nil, err
	}
	return t.edit(r.AppID, func(h *hosts) { h.add(e, true) }), nil
}

// Without returns the table without r, which must be as it was added. A route that isn't
// there is no error.
func (t *Table) Without(r *cloud.Route) (*Table, error) {
	e, err := newEntry(r)
	if err != nil {
		return nil, err
	}
	return t.edit(r.AppID, func(h *hosts) { h.remove(e) }), nil
}

func (t *Table) edit(app cloud.AppID, change func(*hosts)) *Table {
	next := *t
	next.all = t.all.clone()
	change(next.all)
	own := t.apps[app].clone()
	change(own)
	next.apps = owned(t.apps, true)
	next.apps[app] = own
	return &next
}

// WithHosts returns the table with other domains and slugs; it keeps slugs.
func (t *Table) WithHosts(domains []*cloud.Domain, slugs map[string]cloud.AppID) *Table {
	next := *t
	next.slugs = slugs
	next.exact, next.wild = map[string]cloud.AppID{}, map[string]cloud.AppID{}
	for _, d := range domains {
		if d.Kind == Wildcard {
			next.wild[strings.TrimPrefix(d.Host, "*.")] = d.AppID
		} else {
			next.exact[d.Host] = d.AppID
		}
	}
	return &next
}

// Owner is the app that claimed host (as in a Host header), zero for none.
func (t *Table) Owner(host string) cloud.AppID {
	return t.owner(canonicalHost(host))
}

// AppOf is the app of a request that no route decides: the one with the slug, or, when slug
// is empty, the one that claimed the host, zero for none. It reports false when no app has
// the slug, or another has claimed the host.
func (t *Table) AppOf(host, slug string) (app cloud.AppID, ok bool) {
	owner := t.Owner(host)
	if slug == "" {
		return owner, true
	}
	app, known := t.slugs[slug]
	return app, known && (owner.IsZero() || owner == app)
}

func (t *Table) owner(host string) cloud.AppID {
	if app, ok := t.exact[host]; ok {
		return app
	}
	if len(t.wild) == 0 {
		return cloud.AppID{}
	}
	for suffix := range suffixes(host) {
		if app, ok := t.wild[suffix]; ok {
			return app
		}
	}
	return cloud.AppID{}
}

// Match is what a request found.
type Match struct {
	Route  *cloud.Route
	Params map[string]string // path parameters and the host parameter, percent-decoded; nil when there are none
	Rest   string            // remainder of a prefix route, percent-decoded, without its leading slash
	Path   string            // the path the app sees: as received, without /~slug
}

// Outcome of Find.
type Outcome struct {
	Match  *Match
	Allow  []string // of a 405: the methods that the path has, sorted, HEAD beside GET
	BySlug bool     // the request came as /~slug/…
	Slug   string   // of /~slug when no such app exists (so that former slugs can redirect)
}

// Find matches. host is the Host header (port and case are ignored), path the escaped path
// of the request line. Neither Match nor Allow set: 404.
//
// Paths that could be read in two ways match nothing: a leading "//", dot segments, control
// characters, backslashes and bytes that aren't UTF-8, plain or percent-encoded. Nor does
// any path that is reserved once decoded, whatever routes there are.
func (t *Table) Find(host, method, path string) Outcome {
	var q query
	if !q.parse(path) {
		return Outcome{}
	}
	host = canonicalHost(host)
	set, owner := t.all, t.owner(host)
	if !owner.IsZero() {
		set = t.apps[owner]
	}
	var out Outcome
	if slug, ok := q.slug(); ok {
		app, known := t.slugs[slug]
		out.BySlug = true
		switch {
		case !known:
			out.Slug = slug
			return out
		case !owner.IsZero() && owner != app:
			return out
		}
		set = t.apps[app]
		if !q.parse(q.afterFirst()) {
			return out
		}
	}
	if set == nil || q.reserved() {
		return out
	}
	q.method = method
	out.Match = set.find(host, &q)
	if out.Match == nil {
		out.Allow = q.allowed()
	}
	return out
}

// entry is a route with its pattern taken apart.
type entry struct {
	route *cloud.Route
	pattern
}

func newEntry(r *cloud.Route) (*entry, error) {
	p, err := parsePattern(r.PathKind, r.Path)
	if err != nil {
		return nil, err
	}
	return &entry{route: r, pattern: p}, nil
}

func (e *entry) match(q *query, capture string) *Match {
	m := &Match{Route: e.route, Path: q.raw}
	if e.kind == Prefix {
		m.Rest = q.rest(e.segments)
	}
	named := e.route.HostParamName != "" && capture != ""
	if len(e.params) == 0 && !named {
		return m
	}
	m.Params = make(map[string]string, len(e.params)+1)
	for _, p := range e.params {
		m.Params[p.name] = q.segment(p.at)
	}
	if named {
		m.Params[e.route.HostParamName] = capture
	}
	return m
}

// before orders the routes that have one pattern and one method: oldest app first.
func (e *entry) before(o *entry) int {
	if c := slices.Compare(e.route.AppID[:], o.route.AppID[:]); c != 0 {
		return c
	}
	return slices.Compare(e.route.ID[:], o.route.ID[:])
}
