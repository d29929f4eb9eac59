package control

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"picloud/app/cloud"
	"picloud/app/route"
	"picloud/db"
)

// live is the complete copy of apps, slugs, domains and routes that requests are answered
// from. Commits change it from AfterCommit, in their order, which is cheap; the route table
// is made from it outside of the writer's goroutine, by publish, which every method that
// changes something calls before it returns. Callers that come together share one making.
type live struct {
	log *slog.Logger

	mu       sync.RWMutex // guards what follows; the values behind the pointers never change
	apps     map[cloud.AppID]*liveApp
	slugs    map[string]cloud.AppID
	former   map[string]cloud.AppID
	domains  map[cloud.DomainID]*cloud.Domain
	routes   map[cloud.RouteID]*cloud.Route
	patterns map[string][]*cloud.Route // by route.Key
	changed  []change                  // of routes, that the table doesn't have yet
	hosts    bool                      // slugs or domains differ from the table's

	making sync.Mutex // held while a table is made
	table  atomic.Pointer[route.Table]
}

type liveApp struct {
	cloud.App
	quotas   cloud.Quotas
	outbound []string
}

// change adds or removes a route.
type change struct {
	route *cloud.Route
	gone  bool
}

func newLive(log *slog.Logger) *live {
	return &live{
		log: log, apps: map[cloud.AppID]*liveApp{}, slugs: map[string]cloud.AppID{}, former: map[string]cloud.AppID{},
		domains: map[cloud.DomainID]*cloud.Domain{}, routes: map[cloud.RouteID]*cloud.Route{}, patterns: map[string][]*cloud.Route{},
	}
}

// load reads everything; nobody else uses l yet.
func (l *live) load(rx *db.Rx) error {
	return errors.Join(l.loadApps(rx), l.loadFormer(rx), l.loadDomains(rx), l.loadRoutes(rx))
}

func (l *live) loadApps(rx *db.Rx) error {
	rows, err := rx.Query("SELECT " + appColumns + " FROM apps")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		a, err := scanApp(rows)
		if err != nil {
			return err
		}
		l.apps[a.ID] = a
		l.slugs[a.Slug] = a.ID
	}
	return rows.Err()
}

func (l *live) loadFormer(rx *db.Rx) error {
	rows, err := rx.Query("SELECT slug, app_id FROM former_slugs")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var slug string
		var id cloud.AppID
		if err := rows.Scan(&slug, &id); err != nil {
			return err
		}
		l.former[slug] = id
	}
	return rows.Err()
}

func (l *live) loadDomains(rx *db.Rx) error {
	return l.takeDomains(rx.Query("SELECT " + domainColumns + " FROM domains"))
}

func (l *live) loadDomainsOf(rx *db.Rx, app cloud.AppID) error {
	return l.takeDomains(rx.Query("SELECT "+domainColumns+" FROM domains WHERE app_id = ?", app))
}

func (l *live) takeDomains(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		d, err := scanDomain(rows)
		if err != nil {
			return err
		}
		l.domains[d.ID] = d
	}
	return rows.Err()
}

func (l *live) loadRoutes(rx *db.Rx) error {
	return l.takeRoutes(rx.Query("SELECT " + routeColumns + " FROM routes"))
}

func (l *live) loadRoutesOf(rx *db.Rx, app cloud.AppID) error {
	return l.takeRoutes(rx.Query("SELECT "+routeColumns+" FROM routes WHERE app_id = ?", app))
}

func (l *live) takeRoutes(rows *sql.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		r, err := scanRoute(rows)
		if err != nil {
			return err
		}
		checked := *r
		if err := route.Check(&checked); err != nil {
			l.log.Warn("a stored route is not valid and stays out of the table", "route", r.ID.String(), "app", r.AppID.String(), "err", err)
			continue
		}
		l.addRoute(r)
	}
	return rows.Err()
}

// compile makes the first table.
func (l *live) compile() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed, l.hosts = nil, false
	t, err := route.Compile(slices.Collect(maps.Values(l.routes)), slices.Collect(maps.Values(l.domains)), maps.Clone(l.slugs))
	if err != nil {
		return err
	}
	l.table.Store(t)
	return nil
}

// publish returns when a table with all changes so far is in use.
func (l *live) publish() {
	l.making.Lock()
	defer l.making.Unlock()
	w := l.take()
	t, err := w.apply(l.table.Load())
	if err != nil {
		l.log.Error("the route table was not made again", "err", err)
		return
	}
	l.table.Store(t)
}

// work is what a new table differs by.
type work struct {
	changed []change
	routes  []*cloud.Route // all of them, when compiling is cheaper than changing
	hosts   bool
	domains []*cloud.Domain
	slugs   map[string]cloud.AppID
}

// take takes the changes that no table has yet.
func (l *live) take() (w work) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.changed, w.hosts = l.changed, l.hosts
	l.changed, l.hosts = nil, false
	// Changing the table costs about a hundredth of compiling it.
	if len(w.changed) > 16+len(l.routes)/200 {
		w.routes, w.hosts = slices.Collect(maps.Values(l.routes)), true
	}
	if w.hosts {
		w.domains, w.slugs = slices.Collect(maps.Values(l.domains)), maps.Clone(l.slugs)
	}
	return w
}

func (w *work) apply(t *route.Table) (*route.Table, error) {
	if w.routes != nil {
		return route.Compile(w.routes, w.domains, w.slugs)
	}
	for _, ch := range w.changed {
		var err error
		if ch.gone {
			t, err = t.Without(ch.route)
		} else {
			t, err = t.With(ch.route)
		}
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", ch.route.ID, err)
		}
	}
	if w.hosts {
		t = t.WithHosts(w.domains, w.slugs)
	}
	return t, nil
}

// app is one by its id, nil when there is none.
func (l *live) app(id cloud.AppID) *liveApp {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.apps[id]
}

// bySlug finds an app by its slug or, moved, a former one.
func (l *live) bySlug(slug string) (a *liveApp, moved bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if id, ok := l.slugs[slug]; ok {
		return l.apps[id], false
	}
	return l.apps[l.former[slug]], true
}

func (l *live) formerSlug(slug string) (current string, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	a := l.apps[l.former[slug]]
	if a == nil || a.Slug == slug {
		return "", false
	}
	return a.Slug, true
}

// setApp adds or replaces an app.
func (l *live) setApp(a *liveApp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setAppLocked(a)
}

func (l *live) setAppLocked(a *liveApp) {
	old := l.apps[a.ID]
	l.apps[a.ID] = a
	if old != nil && old.Slug == a.Slug {
		return
	}
	l.hosts = true
	if old != nil {
		delete(l.slugs, old.Slug)
		l.former[old.Slug] = a.ID
	}
	delete(l.former, a.Slug)
	l.slugs[a.Slug] = a.ID
}

// dropApp removes an app with its slugs, domains and routes.
func (l *live) dropApp(id cloud.AppID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.apps, id)
	isIt := func(_ string, app cloud.AppID) bool { return app == id }
	maps.DeleteFunc(l.slugs, isIt)
	maps.DeleteFunc(l.former, isIt)
	maps.DeleteFunc(l.domains, func(_ cloud.DomainID, d *cloud.Domain) bool { return d.AppID == id })
	l.hosts = true
	l.dropRoutesLocked(func(r *cloud.Route) bool { return r.AppID == id })
}

func (l *live) setDomain(d *cloud.Domain) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.domains[d.ID] = d
	l.hosts = true
}

func (l *live) dropDomains(match func(*cloud.Domain) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.domains, func(_ cloud.DomainID, d *cloud.Domain) bool { return match(d) })
	l.hosts = true
}

func (l *live) route(id cloud.RouteID) *cloud.Route {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.routes[id]
}

// like are the routes with r's pattern.
func (l *live) like(r *cloud.Route) []*cloud.Route {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Clone(l.patterns[route.Key(r)])
}

func (l *live) addRoute(r *cloud.Route) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addRouteLocked(r)
}

// swapRoutes changes many routes at once: no table has only a part of it.
func (l *live) swapRoutes(gone, made []*cloud.Route) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range gone {
		if r := l.routes[r.ID]; r != nil {
			l.dropRouteLocked(r)
		}
	}
	for _, r := range made {
		l.addRouteLocked(r)
	}
}

func (l *live) addRouteLocked(r *cloud.Route) {
	l.routes[r.ID] = r
	k := route.Key(r)
	l.patterns[k] = append(l.patterns[k], r)
	l.changed = append(l.changed, change{route: r})
}

// dropRoutes removes the routes that match.
func (l *live) dropRoutes(match func(*cloud.Route) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropRoutesLocked(match)
}

func (l *live) dropRoutesLocked(match func(*cloud.Route) bool) {
	for _, r := range l.routes {
		if match(r) {
			l.dropRouteLocked(r)
		}
	}
}

func (l *live) dropRoute(id cloud.RouteID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.routes[id]; r != nil {
		l.dropRouteLocked(r)
	}
}

func (l *live) dropRouteLocked(r *cloud.Route) {
	delete(l.routes, r.ID)
	k := route.Key(r)
	l.patterns[k] = slices.DeleteFunc(l.patterns[k], func(o *cloud.Route) bool { return o.ID == r.ID })
	if len(l.patterns[k]) == 0 {
		delete(l.patterns, k)
	}
	l.changed = append(l.changed, change{route: r, gone: true})
}
