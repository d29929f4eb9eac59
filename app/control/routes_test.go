package control

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"picloud/app/cloud"
)

func TestCreateRoute(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, b := f.app("shop"), f.app("blog")
	s, other := f.script(a, "users"), f.script(b, "posts")
	r := &cloud.Route{ScriptID: s.ID, AppID: b.ID, PathKind: "param", Path: "/users/:id", Method: "get"}
	wantKind(t, f.CreateRoute(ctx(), r), "")
	if r.ID.IsZero() || r.AppID != a.ID || r.HostKind != "any" || r.Method != "GET" || r.DispatchMode != cloud.DispatchSync || r.CreatedAt != f.now() {
		t.Errorf("got %+v", r)
	}
	if got, err := f.Route(ctx(), r.ID); err != nil || *got != *r {
		t.Errorf("got %+v, %v, want %+v", got, err, r)
	}
	if got := found(f.Control, "h", "/users/7"); got != r.ID {
		t.Errorf("not in use: found %v", got)
	}
	if got := found(f.again(), "h", "/users/7"); got != r.ID {
		t.Errorf("not in use after a restart: found %v", got)
	}
	for _, c := range []struct {
		name   string
		script cloud.ScriptID
		r      cloud.Route
		want   cloud.Kind
		says   []string
	}{
		{"the same", s.ID, cloud.Route{PathKind: "param", Path: "/users/:name", Method: "GET"}, cloud.Conflict, []string{"GET /users/:id", `"users"`, r.ID.String()}},
		{"any method over it", s.ID, cloud.Route{PathKind: "param", Path: "/users/:id"}, cloud.Conflict, nil},
		{"another method", s.ID, cloud.Route{PathKind: "param", Path: "/users/:id", Method: "POST"}, "", nil},
		{"another kind", s.ID, cloud.Route{Path: "/users/me", Method: "GET"}, "", nil},
		{"the other app's", other.ID, cloud.Route{PathKind: "param", Path: "/users/:id", Method: "GET"}, "", nil},
		{"reserved", s.ID, cloud.Route{Path: "/admin/x"}, cloud.Invalid, []string{"path"}},
		{"no such script", cloud.NewID[cloud.ScriptID](), cloud.Route{Path: "/x"}, cloud.NotFound, []string{"script"}},
		{"a host", s.ID, cloud.Route{HostKind: "exact", Host: "free.org", Path: "/x"}, "", nil},
		{"the other app on that host", other.ID, cloud.Route{HostKind: "exact", Host: "free.org", Path: "/x"}, cloud.Conflict, []string{"another app", "free.org/x"}},
		{"the other app on that host elsewhere", other.ID, cloud.Route{HostKind: "exact", Host: "free.org", Path: "/y"}, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.r.ScriptID = c.script
			wantMessage(t, f.CreateRoute(ctx(), &c.r), c.want, c.says...)
			if c.want != "" && !c.r.ID.IsZero() {
				t.Errorf("a refused route got an id: %+v", c.r)
			}
		})
	}
	if got := found(f.Control, "h", "/users/7"); got != r.ID {
		t.Errorf("the older app's route must win: found %v", got)
	}
	ids := walk(t, func(p cloud.Page) ([]*cloud.Route, string, error) { return f.AppRoutes(ctx(), a.ID, p) })
	if len(ids) != 4 || ids[0].ID != r.ID {
		t.Errorf("got %d routes of the app, want 4", len(ids))
	}
	ids = walk(t, func(p cloud.Page) ([]*cloud.Route, string, error) { return f.ScriptRoutes(ctx(), other.ID, p) })
	if len(ids) != 2 {
		t.Errorf("got %d routes of the script, want 2", len(ids))
	}
	wantKind(t, f.DeleteRoute(ctx(), r.ID), "")
	wantKind(t, f.DeleteRoute(ctx(), r.ID), cloud.NotFound)
	_, err := f.Route(ctx(), r.ID)
	wantKind(t, err, cloud.NotFound)
	if got := found(f.Control, "h", "/~shop/users/7"); !got.IsZero() {
		t.Errorf("still in use: found %v", got)
	}
	again := &cloud.Route{ScriptID: s.ID, PathKind: "param", Path: "/users/:other", Method: "GET"}
	wantKind(t, f.CreateRoute(ctx(), again), "")
}

func TestDomains(t *testing.T) {
	t.Parallel()
	f := open(t)
	a, b := f.app("shop"), f.app("blog")
	s, other := f.script(a, "s"), f.script(b, "o")
	for _, c := range []struct {
		name, host, kind string
		app              cloud.AppID
		want             cloud.Kind
		says             string
	}{
		{"exact", "Shop.Example.org", "exact", a.ID, "", ""},
		{"again", "shop.example.org", "exact", a.ID, cloud.Conflict, "this app"},
		{"another's", "shop.example.org.", "exact", b.ID, cloud.Conflict, "another app"},
		{"wildcard around it", "*.example.org", "wildcard", b.ID, "", ""},
		{"wildcard taken", "*.example.org", "wildcard", a.ID, cloud.Conflict, "another app"},
		{"exact within another's wildcard", "two.example.org", "exact", a.ID, "", ""},
		{"not a host", "https://x.org", "exact", a.ID, cloud.Invalid, "host"},
		{"not a wildcard", "x.org", "wildcard", a.ID, cloud.Invalid, "wildcard"},
		{"unknown kind", "x.org", "any", a.ID, cloud.Invalid, "kind"},
		{"no such app", "x.org", "exact", cloud.NewID[cloud.AppID](), cloud.NotFound, "app"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := f.CreateDomain(ctx(), c.app, c.host, c.kind)
			wantMessage(t, err, c.want, c.says)
			if err == nil && (d.Host != strings.ToLower(c.host) || d.AppID != c.app || d.ID.IsZero()) {
				t.Errorf("got %+v", d)
			}
		})
	}
	mine, theirs := f.route(s, "/x"), f.route(other, "/x")
	for host, want := range map[string]cloud.RouteID{"shop.example.org": mine.ID, "two.example.org": mine.ID, "any.example.org": theirs.ID, "example.org": mine.ID} {
		for _, c := range []*Control{f.Control, f.again()} {
			if got := found(c, host, "/x"); got != want {
				t.Errorf("%s: found %v, want %v", host, got, want)
			}
		}
	}

	// A route's host must not be another's.
	for _, c := range []struct {
		name     string
		script   *cloud.Script
		kind, on string
		want     cloud.Kind
	}{
		{"own host", s, "exact", "shop.example.org", ""},
		{"another's host", other, "exact", "shop.example.org", cloud.Conflict},
		{"own wildcard", other, "wildcard", "*.example.org", ""},
		{"another's wildcard", s, "wildcard", "*.example.org", cloud.Conflict},
		{"within another's wildcard", s, "exact", "deep.example.org", cloud.Conflict},
		{"wildcard within another's", s, "wildcard", "*.deep.example.org", cloud.Conflict},
		{"around", s, "wildcard", "*.org", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantKind(t, f.CreateRoute(ctx(), &cloud.Route{ScriptID: c.script.ID, HostKind: c.kind, Host: c.on, Path: "/y"}), c.want)
		})
	}

	list := walk(t, func(p cloud.Page) ([]*cloud.Domain, string, error) { return f.Domains(ctx(), a.ID, p) })
	if len(list) != 2 || list[0].Host != "shop.example.org" {
		t.Fatalf("got %d domains", len(list))
	}
	wantKind(t, f.DeleteDomain(ctx(), b.ID, list[0].ID), cloud.NotFound)
	wantKind(t, f.DeleteDomain(ctx(), a.ID, list[0].ID), "")
	wantKind(t, f.DeleteDomain(ctx(), a.ID, list[0].ID), cloud.NotFound)
	if got := found(f.Control, "shop.example.org", "/x"); got != theirs.ID {
		t.Errorf("given back: found %v, want the wildcard's owner", got)
	}
}

// Somebody who had a route on a host that its owner claims later is no hindrance.
func TestClaimedHostIgnoresSquatters(t *testing.T) {
	t.Parallel()
	f := open(t)
	squatter, owner := f.script(f.app("squatter"), "s"), f.script(f.app("owner"), "o")
	on := func(s *cloud.Script) *cloud.Route {
		return &cloud.Route{ScriptID: s.ID, HostKind: "exact", Host: "x.org", Path: "/"}
	}
	wantKind(t, f.CreateRoute(ctx(), on(squatter)), "")
	wantKind(t, f.CreateRoute(ctx(), on(owner)), cloud.Conflict)
	_, err := f.CreateDomain(ctx(), owner.AppID, "x.org", "exact")
	wantKind(t, err, "")
	r := on(owner)
	wantKind(t, f.CreateRoute(ctx(), r), "")
	if got := found(f.Control, "x.org", "/"); got != r.ID {
		t.Errorf("found %v, want the owner's %v", got, r.ID)
	}
}

// Of many equal routes created at once one is made, and each route that was made is in use
// when its creation returns.
func TestRoutesRace(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.script(f.app("shop"), "s")
	errs := together(16, func(int) error { return f.CreateRoute(ctx(), &cloud.Route{ScriptID: s.ID, Path: "/same"}) })
	if n := succeeded(errs); n != 1 {
		t.Errorf("%d of the same were made, want 1", n)
	}
	for _, err := range errs {
		if err != nil {
			wantKind(t, err, cloud.Conflict)
		}
	}
	var hosts atomic.Int32
	errs = together(64, func(i int) error {
		if i%8 == 0 {
			_, err := f.CreateDomain(ctx(), s.AppID, fmt.Sprintf("h%d.org", i), "exact")
			hosts.Add(1)
			return err
		}
		r := &cloud.Route{ScriptID: s.ID, Path: fmt.Sprintf("/r%d", i)}
		if err := f.CreateRoute(ctx(), r); err != nil {
			return err
		}
		if got := found(f.Control, "h", r.Path); got != r.ID {
			return fmt.Errorf("%s isn't in use: found %v", r.Path, got)
		}
		if i%2 == 1 {
			return nil
		}
		if err := f.DeleteRoute(ctx(), r.ID); err != nil {
			return err
		}
		if got := found(f.Control, "h", r.Path); !got.IsZero() {
			return fmt.Errorf("%s is still in use", r.Path)
		}
		return nil
	})
	for _, err := range errs {
		wantKind(t, err, "")
	}
	f.sameAsStored()
}

// sameAsStored compares what is live with what a restart reads.
func (f *fixture) sameAsStored() {
	f.Helper()
	now, stored := f.live, f.again().live
	if len(now.routes) != len(stored.routes) || len(now.patterns) != len(stored.patterns) || len(now.domains) != len(stored.domains) ||
		len(now.apps) != len(stored.apps) || len(now.slugs) != len(stored.slugs) || len(now.former) != len(stored.former) {
		f.Errorf("live: %d routes, %d patterns, %d domains, %d apps, %d slugs, %d former; stored: %d, %d, %d, %d, %d, %d",
			len(now.routes), len(now.patterns), len(now.domains), len(now.apps), len(now.slugs), len(now.former),
			len(stored.routes), len(stored.patterns), len(stored.domains), len(stored.apps), len(stored.slugs), len(stored.former))
	}
	for id, r := range stored.routes {
		if o := now.routes[id]; o == nil || *o != *r {
			f.Errorf("route %v: live %+v, stored %+v", id, o, r)
		}
		if got := found(f.Control, "h", r.Path); got != id {
			f.Errorf("%s finds %v, want %v", r.Path, got, id)
		}
	}
}

// Many changes at once, after which compiling anew is cheaper.
func TestManyRoutesAtOnce(t *testing.T) {
	t.Parallel()
	f := open(t)
	a := f.app("shop")
	s, kept := f.script(a, "s"), f.script(a, "kept")
	for i := range 60 {
		f.route(s, fmt.Sprint("/s", i))
	}
	f.route(kept, "/kept")
	wantKind(t, f.DeleteScript(ctx(), s.ID), "")
	if got := found(f.Control, "h", "/s7"); !got.IsZero() {
		t.Errorf("a deleted script's route is found")
	}
	f.sameAsStored()
}

// A route that a later release no longer accepts doesn't stop the start.
func TestInvalidStoredRoute(t *testing.T) {
	t.Parallel()
	f := open(t)
	s := f.script(f.app("shop"), "s")
	bad, good := f.route(s, "/bad"), f.route(s, "/good")
	f.exec("UPDATE routes SET path = '/api/bad' WHERE id = ?", bad.ID)
	c := f.again()
	if got := found(c, "h", "/good"); got != good.ID {
		t.Errorf("found %v, want %v", got, good.ID)
	}
	if got := found(c, "h", "/api/bad"); !got.IsZero() {
		t.Errorf("found a reserved route")
	}
	wantKind(t, c.DeleteRoute(ctx(), bad.ID), "")
}
