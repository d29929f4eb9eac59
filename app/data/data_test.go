package data

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"picloud/app/cloud"
	"picloud/app/outbox"
	"picloud/db"
	"picloud/db/dbtest"
)

// recorder is an Emitter that remembers what was committed.
type recorder struct {
	mu     sync.Mutex // guards events
	events []string
	from   []cloud.Origin
}

func (r *recorder) Emit(_ context.Context, tx *db.Tx, from cloud.Origin, ev cloud.Event) error {
	tx.AfterCommit(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, fmt.Sprintf("%s %s %s", ev.Op, ev.Match, ev.Payload))
		r.from = append(r.from, from)
	})
	return nil
}

// take answers the events since the last take.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.events
	r.events = nil
	return taken
}

// rig is a store on a real database with one app.
type rig struct {
	testing.TB
	db  *db.DB
	out *recorder
	*Store
	app cloud.AppID
}

func newRig(tb testing.TB, o Options, dbo ...func(*db.Options)) *rig {
	tb.Helper()
	d := dbtest.Open(tb, append([]func(*db.Options){func(o *db.Options) { o.Readers = 80 }}, dbo...)...)
	r := &rig{TB: tb, db: d, out: &recorder{}}
	r.Store = New(d, r.out, o)
	r.app = r.addApp("one")
	return r
}

func (r *rig) addApp(slug string) cloud.AppID {
	r.Helper()
	id := cloud.NewID[cloud.AppID]()
	err := r.db.Update(r.Context(), func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (?, ?, ?, 1, 1)`, id, slug, slug)
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	return id
}

func (r *rig) unit(app cloud.AppID, l cloud.Limits) *tunit {
	id := cloud.NewID[cloud.ExecutionID]()
	return r.again(&cloud.Invocation{ID: id, Root: id, App: app}, l)
}

func (r *rig) again(inv *cloud.Invocation, l cloud.Limits) *tunit {
	u := &tunit{TB: r, Unit: r.Begin(inv, l, nil), ctx: r.Context()}
	r.Cleanup(u.Close)
	return u
}

func (r *rig) begin1() *tunit { return r.unit(r.app, cloud.Limits{}) }

// commit is what a dispatcher does with the effects of a run.
func (r *rig) commit(u *tunit) error {
	defer u.Close()
	if u.Empty() {
		return nil
	}
	return r.db.Update(u.ctx, u.Apply)
}

func (r *rig) mustCommit(u *tunit) {
	r.Helper()
	if err := r.commit(u); err != nil {
		r.Fatalf("commit: %v", err)
	}
}

// do runs f as one execution, again after conflicts, as a dispatcher does.
func (r *rig) do(ctx context.Context, f func(*tunit) error) (reruns int, err error) {
	id := cloud.NewID[cloud.ExecutionID]()
	inv := &cloud.Invocation{ID: id, Root: id, App: r.app}
	var releases []func()
	defer func() {
		for _, release := range releases {
			release()
		}
	}()
	for ; ; reruns++ {
		u := &tunit{TB: r, Unit: r.Begin(inv, cloud.Limits{}, nil), ctx: ctx}
		err := f(u)
		if err == nil {
			err = r.commit(u)
		}
		u.Close()
		c := asContended(err)
		if c == nil {
			return reruns, err
		}
		release, err := c.Turn(ctx)
		if err != nil {
			return reruns, err
		}
		releases = append(releases, release)
	}
}

// tunit spares tests the context and the error handling.
type tunit struct {
	testing.TB
	*Unit
	ctx context.Context
}

func (u *tunit) get(c, k string) string {
	u.Helper()
	v, ok, err := u.Get(u.ctx, c, k)
	if err != nil {
		u.Fatalf("get %s/%s: %v", c, k, err)
	}
	if !ok {
		return "-"
	}
	return string(v)
}

func (u *tunit) set(c, k, v string) {
	u.Helper()
	if err := u.Set(u.ctx, c, k, json.RawMessage(v), 0); err != nil {
		u.Fatalf("set %s/%s: %v", c, k, err)
	}
}

func (u *tunit) delete(c, k string) bool {
	u.Helper()
	was, err := u.Delete(u.ctx, c, k)
	if err != nil {
		u.Fatalf("delete %s/%s: %v", c, k, err)
	}
	return was
}

func (u *tunit) add(c, k string, by float64) {
	u.Helper()
	if err := u.Add(u.ctx, c, k, by); err != nil {
		u.Fatalf("add %s/%s: %v", c, k, err)
	}
}

func (u *tunit) increment(c, k string, by float64) float64 {
	u.Helper()
	n, err := u.Increment(u.ctx, c, k, by)
	if err != nil {
		u.Fatalf("increment %s/%s: %v", c, k, err)
	}
	return n
}

func (u *tunit) list(c string, o ListOptions) []string {
	u.Helper()
	keys, _, err := u.List(u.ctx, c, o)
	if err != nil {
		u.Fatalf("list %s: %v", c, err)
	}
	return keys
}

func (r *rig) put(kv ...string) {
	r.Helper()
	u := r.begin1()
	for i := 0; i < len(kv); i += 2 {
		u.set("c", kv[i], kv[i+1])
	}
	r.mustCommit(u)
	r.out.take()
}

func wantEvents(t testing.TB, r *recorder, want ...string) {
	t.Helper()
	if got := r.take(); !slices.Equal(got, want) {
		t.Errorf("events\ngot  %q\nwant %q", got, want)
	}
}

func wantKind(t testing.TB, what string, err error, want cloud.Kind) {
	t.Helper()
	if got := cloud.KindOf(err); got != want {
		t.Errorf("%s: kind %q (%v), want %q", what, got, err, want)
	}
}

// asContended is nil when err is none.
func asContended(err error) outbox.Contended {
	var c outbox.Contended
	errors.As(err, &c)
	return c
}
