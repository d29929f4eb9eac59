package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/db/dbtest"
)

// script is what a fake script does.
type script func(ctx context.Context, inv *cloud.Invocation) (*cloud.Result, Effects)

// box is an outbox with fakes around it: scripts are Go functions.
type box struct {
	*Outbox
	t    testing.TB
	d    *db.DB
	gate *fakeGate
	app  cloud.AppID
	user cloud.UserID

	mu       *sync.Mutex // guards what follows; shared with what comes after a crash
	scripts  map[cloud.ScriptID]*cloud.Script
	code     map[cloud.ScriptID]script
	users    map[cloud.UserID]error
	recorded []record

	onRecord func()
}

type record struct {
	inv cloud.Invocation
	res cloud.Result
}

func open(t testing.TB, change func(*Options), o ...func(*db.Options)) *box {
	t.Helper()
	d := dbtest.Open(t, o...)
	return openOn(t, d, change)
}

func openOn(t testing.TB, d *db.DB, change func(*Options)) *box {
	b := &box{
		t: t, d: d, gate: newGate(4), mu: &sync.Mutex{},
		scripts: map[cloud.ScriptID]*cloud.Script{}, code: map[cloud.ScriptID]script{}, users: map[cloud.UserID]error{},
	}
	opts := Options{Gate: b.gate, Principals: b, Scripts: b, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Retry: Retry{3, Exponential, 1000, 0}}
	if change != nil {
		change(&opts)
	}
	b.Outbox = New(d, opts)
	b.SetRunner(b)
	b.app = b.addApp("main")
	b.user = cloud.NewID[cloud.UserID]()
	return b
}

func (b *box) addApp(slug string) cloud.AppID {
	id := cloud.NewID[cloud.AppID]()
	b.update(func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (?, ?, ?, 0, 0)`, id, slug+id.String(), slug)
		return err
	})
	return id
}

// script adds a script to an app.
func (b *box) script(app cloud.AppID, f script) cloud.ScriptID {
	id := cloud.NewID[cloud.ScriptID]()
	b.update(func(tx *db.Tx) error {
		_, err := tx.Exec(`
			INSERT INTO scripts (id, app_id, name, source, engine, isolation, timeout_seconds, version, created_at, updated_at)
			VALUES (?, ?, ?, '', 'quickjs', 'warm', 30, 1, 0, 0)`, id, app, id.String())
		return err
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.scripts[id] = &cloud.Script{ID: id, AppID: app, TimeoutSeconds: 30}
	b.code[id] = f
	return id
}

func (b *box) dropScript(id cloud.ScriptID) {
	b.mu.Lock()
	delete(b.scripts, id)
	delete(b.code, id)
	b.mu.Unlock()
	b.update(func(tx *db.Tx) error {
		_, err := tx.Exec(`DELETE FROM scripts WHERE id = ?`, id)
		return err
	})
}

func (b *box) trigger(t *cloud.Trigger) *cloud.Trigger {
	b.t.Helper()
	t.Enabled = true
	if t.AppID.IsZero() {
		t.AppID = b.app
	}
	t.RegisteredByPrincipal = b.user
	if err := b.CreateTrigger(context.Background(), t); err != nil {
		b.t.Fatal(err)
	}
	return t
}

func (b *box) kvTrigger(s cloud.ScriptID) *cloud.Trigger {
	return b.trigger(&cloud.Trigger{ScriptID: s, Kind: cloud.SourceKV, KV: &cloud.KVFilter{CollectionGlob: "*"}})
}

func kvEvent(key string) cloud.Event {
	payload, _ := json.Marshal(map[string]any{"source": "kv", "op": "insert", "kv": map[string]any{"collection": "c", "key": key, "value": 1}})
	return cloud.Event{Source: cloud.SourceKV, Op: "insert", Match: "c", Payload: payload}
}

// emit emits an event as a person does.
func (b *box) emitKV(key string) {
	b.t.Helper()
	b.update(func(tx *db.Tx) error {
		return b.Emit(context.Background(), tx, cloud.Origin{App: b.app}, kvEvent(key))
	})
}

func (b *box) update(f func(*db.Tx) error) {
	b.t.Helper()
	if err := b.d.Update(context.Background(), func(_ context.Context, tx *db.Tx) error { return f(tx) }); err != nil {
		b.t.Fatal(err)
	}
}

func (b *box) count(query string, args ...any) (n int) {
	b.t.Helper()
	err := b.d.View(context.Background(), func(_ context.Context, rx *db.Rx) error { return rx.QueryRow(query, args...).Scan(&n) })
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// serve runs the dispatcher until the returned function is called, which waits for it.
func (b *box) serve() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Serve(ctx); err != nil {
			b.t.Error(err)
		}
	}()
	return func() { cancel(); <-done }
}

// invoke makes an invocation for Do or Submit.
func (b *box) invocation(s cloud.ScriptID) *cloud.Invocation {
	id := cloud.NewID[cloud.ExecutionID]()
	return &cloud.Invocation{ID: id, Root: id, App: b.app, Script: s, Source: cloud.SourceHTTP, Op: "POST", Request: &cloud.Request{Method: "POST", Path: "/x"}}
}

func (b *box) letters(f DeadLetterFilter) []*cloud.DeadLetter {
	b.t.Helper()
	l, _, err := b.DeadLetters(context.Background(), b.app, f, cloud.Page{})
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

func (b *box) records() []record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]record(nil), b.recorded...)
}

// Run, Record, Principal and Script make the box a Runner, Principals and Scripts.
func (b *box) Run(ctx context.Context, inv *cloud.Invocation, hold func(context.Context, *db.Tx) error) (*cloud.Result, Effects) {
	b.mu.Lock()
	f := b.code[inv.Script]
	b.mu.Unlock()
	if f == nil {
		return &cloud.Result{Started: b.now(), Err: cloud.Errorf(cloud.NotFound, "the script was deleted")}, nil
	}
	started := b.now()
	res, eff := f(context.WithValue(ctx, holdKey{}, hold), inv)
	res.Started = started
	return res, eff
}

type holdKey struct{}

func (b *box) Record(inv *cloud.Invocation, res *cloud.Result) {
	if b.onRecord != nil {
		b.onRecord()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recorded = append(b.recorded, record{*inv, *res})
}

func (b *box) Principal(_ context.Context, u cloud.UserID) (*cloud.Principal, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.users[u]; err != nil {
		return nil, err
	}
	return &cloud.Principal{User: u, Role: cloud.Owner}, nil
}

// Script reads, as the real one does when it finds nothing in memory.
func (b *box) Script(ctx context.Context, id cloud.ScriptID) (*cloud.Script, error) {
	if err := b.db.View(ctx, func(context.Context, *db.Rx) error { return nil }); err != nil {
		return nil, err
	}
	return b.ScriptTx(nil, id)
}

func (b *box) ScriptTx(_ *db.Rx, id cloud.ScriptID) (*cloud.Script, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.scripts[id]; s != nil {
		return s, nil
	}
	return nil, cloud.Errorf(cloud.NotFound, "no such script")
}

// fakeGate is the simplest gate that keeps the contract's bounds.
type fakeGate struct {
	free    chan struct{}
	freed   chan struct{}
	callers bool // that come
}

func newGate(n int) *fakeGate {
	g := &fakeGate{free: make(chan struct{}, n), freed: make(chan struct{}, 1)}
	for range n {
		g.free <- struct{}{}
	}
	return g
}

func (g *fakeGate) Enter(ctx context.Context, _ cloud.AppID) error {
	select {
	case <-g.free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	default:
		return cloud.Errorf(cloud.Overloaded, "full")
	}
}

func (g *fakeGate) Reenter(ctx context.Context, _ cloud.AppID) error {
	select {
	case <-g.free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *fakeGate) Callers() bool { return g.callers }

func (g *fakeGate) TryEnter(n int) int {
	for i := range n {
		select {
		case <-g.free:
		default:
			return i
		}
	}
	return n
}

func (g *fakeGate) Exit(cloud.AppID) { g.Leave() }

func (g *fakeGate) Leave() {
	select {
	case g.free <- struct{}{}:
	default:
		panic("more permits given back than taken")
	}
	select {
	case g.freed <- struct{}{}:
	default:
	}
}

func (g *fakeGate) Freed() <-chan struct{} { return g.freed }

// allFree fails the test when a permit was not given back.
func (g *fakeGate) allFree(t testing.TB) {
	t.Helper()
	if got, want := len(g.free), cap(g.free); got != want {
		t.Errorf("free permits: got %d, want %d", got, want)
	}
}

// apply is effects made of a function.
type apply func(context.Context, *db.Tx) error

func (apply) Empty() bool                                  { return false }
func (a apply) Apply(ctx context.Context, tx *db.Tx) error { return a(ctx, tx) }
func (apply) Close()                                       {}
func (apply) Size() int                                    { return 0 }

// counts adds one to a counter in settings: a visible effect.
func counts(name string) apply {
	return func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO settings (name, value) VALUES (?, '1') ON CONFLICT (name) DO UPDATE SET value = value + 1`, name)
		return err
	}
}

func (b *box) counted(name string) int {
	return b.count(`SELECT coalesce((SELECT CAST(value AS INTEGER) FROM settings WHERE name = ?), 0)`, name)
}

func ok(eff Effects) (*cloud.Result, Effects) {
	return &cloud.Result{StatusCode: 200, Body: []byte(`"ok"`)}, eff
}

func throw(msg string) (*cloud.Result, Effects) {
	return &cloud.Result{Err: cloud.Errorf(cloud.ScriptError, "the script threw"), Trace: &cloud.Trace{Message: msg, File: "s.js", Line: 1, Column: 2}}, apply(func(context.Context, *db.Tx) error {
		return errors.New("effects of a failed execution were applied")
	})
}

// bubble runs a test with fake time. Its database is opened inside, so that the goroutines
// belong to it.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	dbtest.Open(t) // the template is made outside of the bubble
	synctest.Test(t, f)
}

func wantError(t testing.TB, err error, kind cloud.Kind, part string) {
	t.Helper()
	if cloud.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), part) {
		t.Errorf("error: got %v (%s), want %s with %q", err, cloud.KindOf(err), kind, part)
	}
}
