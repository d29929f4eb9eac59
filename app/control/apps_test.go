package control

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
)

func TestCreateApp(t *testing.T) {
	t.Parallel()
	f := open(t)
	f.app("taken")
	for _, c := range []struct {
		slug, name, description string
		want                    cloud.Kind
		says                    string
	}{
		{"a1", "A", "", "", ""},
		{strings.Repeat("a", 40), "A", "", "", ""},
		{"a-b-0", "Name with ünicode", "line\nline", "", ""},
		{"a", "A", "", cloud.Invalid, "slug"},
		{strings.Repeat("a", 41), "A", "", cloud.Invalid, "slug"},
		{"Shop", "A", "", cloud.Invalid, "slug"},
		{"sh_op", "A", "", cloud.Invalid, "slug"},
		{"", "A", "", cloud.Invalid, "slug"},
		{"0190a1b2-c3d4-7000-8000-000000000000", "A", "", cloud.Invalid, "slug"},
		{"ok", "", "", cloud.Invalid, "name"},
		{"ok", " A", "", cloud.Invalid, "name"},
		{"ok", "A\n", "", cloud.Invalid, "name"},
		{"ok", strings.Repeat("ä", 129), "", cloud.Invalid, "name"},
		{"ok", "A", strings.Repeat("x", 2001), cloud.Invalid, "description"},
		{"ok", "A", "\x00", cloud.Invalid, "description"},
		{"taken", "A", "", cloud.Conflict, "taken"},
	} {
		t.Run(c.slug+"/"+c.says, func(t *testing.T) {
			a, err := f.CreateApp(ctx(), nil, c.slug, c.name, c.description)
			wantMessage(t, err, c.want, c.says)
			if err != nil {
				return
			}
			for _, ref := range []string{c.slug, a.ID.String()} {
				got, moved, err := f.App(ctx(), nil, ref)
				if err != nil || moved || *got != *a {
					t.Errorf("App(%q): got %+v, %v, %v, want %+v", ref, got, moved, err, a)
				}
			}
		})
	}
}

func TestSlugs(t *testing.T) {
	t.Parallel()
	f := open(t)
	a := f.app("one")
	s := f.script(a, "hello")
	r := f.route(s, "/hello")
	rename := func(id cloud.AppID, slug string) {
		t.Helper()
		got, err := f.UpdateApp(ctx(), id, AppPatch{Slug: &slug})
		if err != nil || got.Slug != slug {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	// expect is what slugs lead to: "=one" is an app, ">one" a redirect, "" nothing.
	expect := func(step string, want map[string]string) {
		t.Helper()
		for _, c := range []*Control{f.Control, f.again()} {
			for slug, to := range want {
				got := ""
				if app, moved, err := c.App(ctx(), nil, slug); err == nil && moved {
					got = ">" + app.Slug
				} else if err == nil {
					got = "=" + app.Slug
				}
				current, ok := c.FormerSlug(slug)
				if got != to || ok != strings.HasPrefix(to, ">") || ok && ">"+current != to {
					t.Errorf("%s: %s leads to %q and %q, want %q", step, slug, got, current, to)
				}
			}
		}
	}
	rename(a.ID, "two")
	expect("renamed", map[string]string{"one": ">two", "two": "=two", "three": ""})
	rename(a.ID, "three")
	expect("again", map[string]string{"one": ">three", "two": ">three", "three": "=three"})
	if got, err := f.Script(ctx(), s.ID); err != nil || got.AppSlug != "three" {
		t.Errorf("the script's app is called %q, %v, want three", got.AppSlug, err)
	}
	if got := found(f.Control, "h", "/~three/hello"); got != r.ID {
		t.Errorf("/~three finds %v, want %v", got, r.ID)
	}
	if o := f.Routes().Find("h", "GET", "/~one/hello"); o.Match != nil || o.Slug != "one" {
		t.Errorf("/~one: got %+v, want an unknown slug", o)
	}
	rename(a.ID, "one")
	expect("back", map[string]string{"one": "=one", "two": ">one", "three": ">one"})
	b := f.app("two")
	expect("taken over by a new app", map[string]string{"one": "=one", "two": "=two", "three": ">one"})
	rename(b.ID, "three")
	expect("taken over by a rename", map[string]string{"two": ">three", "three": "=three"})
	_, err := f.UpdateApp(ctx(), b.ID, AppPatch{Slug: ptr("one")})
	wantKind(t, err, cloud.Conflict)
	_, err = f.UpdateApp(ctx(), b.ID, AppPatch{Slug: ptr("O")})
	wantKind(t, err, cloud.Invalid)
	expect("refused", map[string]string{"one": "=one", "two": ">three", "three": "=three"})
	wantKind(t, f.DeleteApp(ctx(), b.ID, false), "")
	expect("deleted", map[string]string{"one": "=one", "two": "", "three": ""})
	_, err = f.UpdateApp(ctx(), b.ID, AppPatch{})
	wantKind(t, err, cloud.NotFound)
	f.sameAsStored()
	got, err := f.UpdateApp(ctx(), a.ID, AppPatch{Name: ptr("New name"), Description: ptr("d")})
	if err != nil || got.Name != "New name" || got.Description != "d" || got.Slug != "one" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAppsVisible(t *testing.T) {
	t.Parallel()
	f := open(t)
	var apps []*cloud.App
	for i := range 5 {
		apps = append(apps, f.app(fmt.Sprint("app-", i)))
	}
	owner, admin := f.as(f.user("owner1")), f.as(f.user("admin1"))
	u := f.user("member1")
	for _, i := range []int{4, 0, 2} {
		_, err := f.SetMember(ctx(), apps[i].ID, u.ID, cloud.Viewer)
		wantKind(t, err, "")
	}
	member := f.as(u)
	for name, c := range map[string]struct {
		p    *cloud.Principal
		want string
	}{
		"anybody": {nil, "app-0 app-1 app-2 app-3 app-4"},
		"owner":   {owner, "app-0 app-1 app-2 app-3 app-4"},
		"admin":   {admin, "app-0 app-1 app-2 app-3 app-4"},
		"member":  {member, "app-0 app-2 app-4"},
	} {
		var got []string
		for _, a := range walk(t, func(p cloud.Page) ([]*cloud.App, string, error) { return f.Apps(ctx(), c.p, p) }) {
			got = append(got, a.Slug)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s sees %q, want %q", name, s, c.want)
		}
	}
	_, _, foreign := f.App(ctx(), member, "app-1")
	_, _, none := f.App(ctx(), member, "nothing")
	_, _, id := f.App(ctx(), member, cloud.NewID[cloud.AppID]().String())
	wantKind(t, foreign, cloud.NotFound)
	if foreign.Error() != none.Error() || foreign.Error() != id.Error() {
		t.Errorf("answers differ: %v, %v, %v", foreign, none, id)
	}
	if a, _, err := f.App(ctx(), member, apps[2].ID.String()); err != nil || a.Slug != "app-2" {
		t.Errorf("got %v, %v", a, err)
	}
	_, _, err := f.Apps(ctx(), member, cloud.Page{Cursor: "x"})
	wantKind(t, err, cloud.BadRequest)
}

func TestDeleteApp(t *testing.T) {
	t.Parallel()
	f := open(t)
	empty := f.app("empty")
	wantKind(t, f.DeleteApp(ctx(), empty.ID, false), "")
	wantKind(t, f.DeleteApp(ctx(), empty.ID, false), cloud.NotFound)
	wantKind(t, f.DeleteApp(ctx(), empty.ID, true), cloud.NotFound)

	a, other := f.app("shop"), f.app("other")
	s, kept := f.script(a, "hello"), f.script(other, "hello")
	f.route(s, "/hello")
	keptRoute := f.route(kept, "/kept")
	_, err := f.CreateDomain(ctx(), a.ID, "shop.example.org", "exact")
	wantKind(t, err, "")
	u := f.user("member1")
	_, err = f.SetMember(ctx(), a.ID, u.ID, cloud.Editor)
	wantKind(t, err, "")
	if got := f.as(u).RoleIn(a.ID); got != cloud.Editor {
		t.Errorf("got role %q, want editor", got)
	}
	f.fillKV(a.ID, 2*deleteBatch+10)
	f.fillKV(other.ID, 3)

	wantMessage(t, f.DeleteApp(ctx(), a.ID, false), cloud.Conflict, "scripts", "cascade")
	if found(f.Control, "shop.example.org", "/hello").IsZero() {
		t.Error("a refused deletion took the route away")
	}
	before := f.commits.Load()
	f.gone = nil
	wantKind(t, f.DeleteApp(ctx(), a.ID, true), "")
	if got, want := f.commits.Load()-before, int64(1+len(bulky)+2+1); got != want {
		t.Errorf("%d commits, want %d: scripts, each bulky table, two more batches of data, the app", got, want)
	}
	for table, want := range map[string]int{"apps": 1, "scripts": 1, "script_versions": 1, "routes": 1, "domains": 0, "members": 0, "kv_entries": 3} {
		if got := f.count(table); got != want {
			t.Errorf("%s: %d rows are left, want %d", table, got, want)
		}
	}
	if !found(f.Control, "shop.example.org", "/hello").IsZero() || !found(f.Control, "h", "/~shop/hello").IsZero() {
		t.Error("its route is still found")
	}
	if got := found(f.Control, "shop.example.org", "/kept"); got != keptRoute.ID {
		t.Errorf("its host is still claimed: found %v", got)
	}
	if _, err := f.Script(ctx(), s.ID); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("its script: got %v, want not found", err)
	}
	if f.as(u).RoleIn(a.ID) != "" {
		t.Error("a role in it is left")
	}
	if want := []string{a.ID.String() + " " + s.ID.String(), a.ID.String(), a.ID.String()}; !slices.Equal(f.gone, want) {
		t.Errorf("OnDelete was told %v, want %v: the script, and the app when it has stopped and when it is gone", f.gone, want)
	}

	// Data alone makes an app non-empty, too.
	wantKind(t, f.DeleteScript(ctx(), kept.ID), "")
	wantMessage(t, f.DeleteApp(ctx(), other.ID, false), cloud.Conflict, "data")
}

// fillKV gives an app n entries.
func (f *fixture) fillKV(app cloud.AppID, n int) {
	f.Helper()
	err := f.d.Update(ctx(), func(ctx context.Context, tx *db.Tx) error {
		for i := range n {
			if _, err := tx.Exec("INSERT INTO kv_entries (app_id, collection, key, value, created_at, updated_at) VALUES (?, 'c', ?, '1', 0, 0)", app, fmt.Sprint(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	f := open(t)
	a := f.app("shop")
	if got := f.QuotaOf(a.ID); got != (cloud.Quotas{}) {
		t.Errorf("got %+v, want none", got)
	}
	want := cloud.Quotas{KVBytes: 1 << 20, OutboxRows: 100, ExecutionsPerMinute: 60, ConcurrentExecutions: 2}
	wantKind(t, f.SetQuotas(ctx(), a.ID, want), "")
	for _, c := range []*Control{f.Control, f.again()} {
		got, err := c.Quotas(ctx(), a.ID)
		if err != nil || got != want || c.QuotaOf(a.ID) != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	_, err := f.UpdateApp(ctx(), a.ID, AppPatch{Slug: ptr("renamed")})
	wantKind(t, err, "")
	if got := f.QuotaOf(a.ID); got != want {
		t.Errorf("after a rename: got %+v, want %+v", got, want)
	}
	wantMessage(t, f.SetQuotas(ctx(), a.ID, cloud.Quotas{OutboxRows: -1}), cloud.Invalid, "outbox_rows")
	wantKind(t, f.SetQuotas(ctx(), cloud.NewID[cloud.AppID](), want), cloud.NotFound)
	_, err = f.Quotas(ctx(), cloud.NewID[cloud.AppID]())
	wantKind(t, err, cloud.NotFound)
	wantKind(t, f.SetQuotas(ctx(), a.ID, cloud.Quotas{}), "")
	if got := f.QuotaOf(a.ID); got != (cloud.Quotas{}) {
		t.Errorf("got %+v, want none", got)
	}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	f := open(t, func(o *Options) { o.AuditCap = 200 })
	a := f.app("shop")
	add := func(c *Control, app cloud.AppID, action string) {
		t.Helper()
		e := &cloud.AuditEntry{AppID: app, Username: "owner1", Action: action, Resource: strings.Repeat("ä", 1000), Detail: "d", Address: "192.0.2.1"}
		wantKind(t, c.Audit(ctx(), e), "")
		if e.ID.IsZero() || e.At != f.now() || len(e.Resource) > maxDetail {
			t.Fatalf("got %+v", e)
		}
	}
	for i := range 5 {
		add(f.Control, a.ID, fmt.Sprint("app.", i))
		add(f.Control, cloud.AppID{}, fmt.Sprint("user.", i))
	}
	names := func(app cloud.AppID) string {
		var s []string
		for _, e := range walk(t, func(p cloud.Page) ([]*cloud.AuditEntry, string, error) { return f.AuditEntries(ctx(), app, p) }) {
			s = append(s, e.Action)
		}
		return strings.Join(s, " ")
	}
	if got, want := names(a.ID), "app.4 app.3 app.2 app.1 app.0"; got != want {
		t.Errorf("the app's: got %q, want %q", got, want)
	}
	if got := names(cloud.AppID{}); !strings.HasPrefix(got, "user.4 app.4 user.3") || strings.Count(got, " ") != 9 {
		t.Errorf("the instance's: got %q", got)
	}
	c := f.again(func(o *Options) { o.AuditCap = 200 })
	for i := range 500 {
		add(c, cloud.AppID{}, fmt.Sprint("more.", i))
		if n := f.count("audit"); n > 202 {
			t.Fatalf("%d entries, want about 200", n)
		}
	}
	if n := f.count("audit"); n < 200 {
		t.Errorf("%d entries are left, want 200", n)
	}
	wantKind(t, f.DeleteApp(ctx(), a.ID, true), "")
	errs := together(300, func(i int) error { return c.Audit(ctx(), &cloud.AuditEntry{Action: "together"}) })
	if n := f.count("audit"); succeeded(errs) != 300 || n < 200 || n > 200+300 {
		t.Errorf("%d entries after 300 at once, %d of which went well", n, succeeded(errs))
	}
}
