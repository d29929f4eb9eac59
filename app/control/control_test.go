package control

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/db/dbtest"
)

// clock is the time of a test's database and Control.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// compiler is a stand-in for the executor: it refuses sources that contain "syntax error".
type compiler struct {
	before func() // called by each Check
}

func (c *compiler) Check(ctx context.Context, s *cloud.Script) error {
	if c.before != nil {
		c.before()
	}
	if strings.Contains(s.Source, "syntax error") {
		return cloud.Errorf(cloud.Invalid, "source: line 3, column 5: syntax error")
	}
	return nil
}

// fixture is a Control on a real database.
type fixture struct {
	*Control
	testing.TB
	clock *clock
	d     *db.DB
	comp  *compiler
	gone  []string // what OnDelete was told

	commits atomic.Int64
}

// cheapHash keeps tests fast; what it lacks in strength the format doesn't show.
var cheapHash = hashParams{memory: 8, time: 1, threads: 1}

func open(tb testing.TB, set ...func(*Options)) *fixture {
	tb.Helper()
	f := &fixture{TB: tb, clock: &clock{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}, comp: new(compiler)}
	f.d = dbtest.Open(tb, func(o *db.Options) {
		o.Now = f.clock.Now
		o.Observe = func(db.CommitStats) { f.commits.Add(1) }
	})
	f.Control = f.again(set...)
	return f
}

// again opens a Control on the same database, as a restart does.
func (f *fixture) again(set ...func(*Options)) *Control {
	f.Helper()
	o := Options{Now: f.clock.Now, hash: cheapHash, Compiler: f.comp, OnDelete: func(app cloud.AppID, s cloud.ScriptID) {
		f.gone = append(f.gone, strings.TrimSpace(app.String()+" "+s.String()))
	}}
	for _, s := range set {
		s(&o)
	}
	c, err := New(context.Background(), f.d, o)
	if err != nil {
		f.Fatal(err)
	}
	return c
}

func ctx() context.Context { return context.Background() }

const password = "correct horse battery"

var home = From{Address: "192.0.2.1", UserAgent: "test"}

// user makes one with the role as its name's first part: "owner1", "member-x".
func (f *fixture) user(name string) *cloud.User {
	f.Helper()
	role := cloud.Member
	for _, r := range cloud.InstanceRoles {
		if strings.HasPrefix(name, string(r)) {
			role = r
		}
	}
	u, err := f.CreateUser(ctx(), nil, UserInput{Username: name, Password: password, Role: role})
	if err != nil {
		f.Fatal(err)
	}
	return u
}

// as is a principal of the user as they are now.
func (f *fixture) as(u *cloud.User) *cloud.Principal {
	f.Helper()
	p, err := f.Principal(ctx(), u.ID)
	if err != nil {
		f.Fatal(err)
	}
	return p
}

func (f *fixture) login(u *cloud.User) string {
	f.Helper()
	_, token, err := f.Login(ctx(), u.Username, password, home)
	if err != nil {
		f.Fatal(err)
	}
	return token
}

func (f *fixture) app(slug string) *cloud.App {
	f.Helper()
	a, err := f.CreateApp(ctx(), nil, slug, "App "+slug, "")
	if err != nil {
		f.Fatal(err)
	}
	return a
}

func (f *fixture) script(app *cloud.App, name string) *cloud.Script {
	f.Helper()
	s := &cloud.Script{AppID: app.ID, Name: name, Source: "export default () => 1 // " + name}
	if err := f.CreateScript(ctx(), nil, s); err != nil {
		f.Fatal(err)
	}
	return s
}

func (f *fixture) route(s *cloud.Script, path string) *cloud.Route {
	f.Helper()
	r := &cloud.Route{ScriptID: s.ID, Path: path}
	if err := f.CreateRoute(ctx(), r); err != nil {
		f.Fatal(err)
	}
	return r
}

// found is the route id that a GET of path on host reaches, zero for none.
func found(c *Control, host, path string) (id cloud.RouteID) {
	if m := c.Routes().Find(host, "GET", path).Match; m != nil {
		id = m.Route.ID
	}
	return id
}

// wantKind checks the kind of err, "" for none.
func wantKind(tb testing.TB, err error, want cloud.Kind) {
	tb.Helper()
	if got := cloud.KindOf(err); got != want {
		tb.Fatalf("got error %v of kind %q, want %q", err, got, want)
	}
}

// wantMessage checks that a person is told something.
func wantMessage(tb testing.TB, err error, want cloud.Kind, parts ...string) {
	tb.Helper()
	wantKind(tb, err, want)
	for _, p := range parts {
		if !strings.Contains(cloud.Message(err), p) {
			tb.Errorf("message %q doesn't say %q", cloud.Message(err), p)
		}
	}
}

// walk reads a whole list in pages of two.
func walk[T any](tb testing.TB, list func(cloud.Page) ([]T, string, error)) []T {
	tb.Helper()
	var all []T
	p := cloud.Page{Limit: 2}
	for {
		items, next, err := list(p)
		if err != nil {
			tb.Fatal(err)
		}
		if len(items) > 2 || next != "" && len(items) != 2 {
			tb.Fatalf("a page of two has %d items and the cursor %q", len(items), next)
		}
		all = append(all, items...)
		if next == "" {
			return all
		}
		p.Cursor = next
	}
}

// together runs f n times at once and returns the errors.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

func succeeded(errs []error) (n int) {
	for _, err := range errs {
		if err == nil {
			n++
		}
	}
	return n
}

func TestCursor(t *testing.T) {
	f := open(t)
	for i := range 5 {
		f.user(fmt.Sprintf("member%d", i))
	}
	got := walk(t, func(p cloud.Page) ([]*cloud.User, string, error) { return f.Users(ctx(), p) })
	if len(got) != 5 {
		t.Errorf("got %d users, want 5", len(got))
	}
	for i, u := range got {
		if want := fmt.Sprintf("member%d", i); u.Username != want {
			t.Errorf("user %d: got %s, want %s", i, u.Username, want)
		}
	}
	for _, bad := range []string{"x", "AAAA", "!!!!", strings.Repeat("A", 21), strings.Repeat("A", 23), strings.Repeat("A", 21) + "B", strings.Repeat("A", 1000), got[0].ID.String()} {
		_, _, err := f.Users(ctx(), cloud.Page{Cursor: bad})
		wantMessage(t, err, cloud.BadRequest, "cursor")
	}
	empty, next, err := f.Users(ctx(), cloud.Page{Cursor: lastPosition.cursor()})
	if err != nil || next != "" || empty == nil || len(empty) != 0 {
		t.Errorf("beyond the end: got %v, %q, %v, want an empty list that isn't nil", empty, next, err)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("")
	f.Add("AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("_-==")
	f.Fuzz(func(t *testing.T, s string) {
		at, err := after(cloud.Page{Cursor: s}, firstPosition)
		if err != nil {
			wantKind(t, err, cloud.BadRequest)
		} else if s != "" && at.cursor() != s {
			t.Errorf("the cursor %q is read as %q", s, at.cursor())
		}
	})
}

func TestCache(t *testing.T) {
	c := newCache[int](10, func(s string) int { return len(s) })
	load := func(v string) func() (string, error) { return func() (string, error) { return v, nil } }
	get := func(k int, v string) string {
		got, err := c.get(k, load(v))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	get(1, "aaaa")
	if got := get(1, "other"); got != "aaaa" {
		t.Errorf("cached: got %q, want aaaa", got)
	}
	c.drop(1)
	if got := get(1, "bbbb"); got != "bbbb" {
		t.Errorf("dropped: got %q, want bbbb", got)
	}
	get(2, "cccc")
	get(3, "dddd")
	get(4, strings.Repeat("x", 11))
	if len(c.entries) != 2 || c.weight != 8 {
		t.Errorf("bound: got %d entries that weigh %d, want 2 and 8", len(c.entries), c.weight)
	}
	c.clear()
	if len(c.entries) != 0 || c.weight != 0 {
		t.Errorf("cleared: got %d entries that weigh %d", len(c.entries), c.weight)
	}
	// What was read before a change must not be kept after it.
	if _, err := c.get(5, func() (string, error) { c.drop(5); return "stale", nil }); err != nil {
		t.Fatal(err)
	}
	if got := get(5, "fresh"); got != "fresh" {
		t.Errorf("read before an invalidation: got %q, want fresh", got)
	}
}
