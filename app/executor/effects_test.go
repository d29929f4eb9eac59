package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/app/data"
	"picloud/app/outbox"
	"picloud/app/sdk"
	"picloud/db"
	"picloud/db/dbtest"
)

// silent is a data.Emitter that no trigger listens to.
type silent struct{}

func (silent) Emit(context.Context, *db.Tx, cloud.Origin, cloud.Event) error { return nil }

// store is a machine with a real database under it.
type store struct {
	*machine
	db   *db.DB
	data *data.Store
	app  cloud.AppID
}

func newStore(t testing.TB) *store {
	t.Helper()
	d := dbtest.Open(t)
	s := &store{db: d, data: data.New(d, silent{}, data.Options{}), app: cloud.NewID[cloud.AppID]()}
	s.machine = newMachine(t, Options{Services: sdk.Services{Data: s.data}})
	if err := d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO apps (id, slug, name, description, created_at, updated_at) VALUES (?, 'a', 'a', '', 0, 0)`, s.app)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs source once, as the outbox does: effects are applied when there is no error.
func (s *store) run(t testing.TB, source string, limits cloud.Limits) *cloud.Result {
	t.Helper()
	inv := invocation(s.app)
	inv.Script = s.scripts.save(cloud.Script{Source: source, Limits: limits}).ID
	inv.Request = &cloud.Request{Method: "GET", Path: "/"}
	res, effects := s.Run(t.Context(), inv, nil)
	if effects == nil {
		t.Fatal("no effects")
	}
	defer effects.Close()
	if res.Err != nil || res.Discard || effects.Empty() {
		return res
	}
	if err := s.db.Update(t.Context(), effects.Apply); err != nil {
		t.Fatal(err)
	}
	return res
}

func (s *store) value(t testing.TB, key string) string {
	t.Helper()
	r, err := s.data.Get(t.Context(), s.app, "c", key)
	if cloud.KindOf(err) == cloud.NotFound {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Value)
}

// TestFailedExecutionsLeaveNothing is the promise of all or nothing, as far as it is the
// executor's: what fails half-way has effects that nobody applies.
func TestFailedExecutionsLeaveNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	const set = `const c = kv.collection("c"); `
	tests := []struct {
		name, body string
		limits     cloud.Limits
		want       cloud.Kind
		stays      bool
	}{
		{name: "success", body: `c.set("k", 1); return c.get("k")`, stays: true},
		{name: "throw", body: `c.set("k", 1); throw new Error("x")`, want: cloud.ScriptError},
		{name: "http error", body: `c.set("k", 1); throw new HttpError(404, "x")`},
		{name: "rejection", body: `c.set("k", 1); return Promise.reject(1)`, want: cloud.ScriptError},
		{name: "forgotten rejection", body: `c.set("k", 1); (async () => { await null; c.set("k", 2); throw 1 })(); return 1`, want: cloud.ScriptError},
		{name: "never settles", body: `c.set("k", 1); return new Promise(() => {})`, want: cloud.ScriptError},
		{name: "operations", body: `c.set("k", 1); for (;;);`, limits: cloud.Limits{Operations: 10_000}, want: cloud.BudgetExceeded},
		{name: "memory", body: `c.set("k", 1); const a = []; for (;;) a.push(new Uint8Array(100000))`, limits: cloud.Limits{MemoryBytes: 4 << 20}, want: cloud.BudgetExceeded},
		{name: "output", body: `c.set("k", 1); return "x".repeat(2000)`, limits: cloud.Limits{OutputBytes: 1000}, want: cloud.BudgetExceeded},
		{name: "answer", body: `c.set("k", 1); return {statusCode: 1}`, want: cloud.Invalid},
		{name: "writes", body: `for (let i = 0; i < 20; i++) c.set("k" + i, 1); return 1`, limits: cloud.Limits{Writes: 10}, want: cloud.BudgetExceeded},
		{name: "catching an async kill", body: `c.set("k", 1); return (async () => { try { for (;;); } catch (e) { return 1 } })()`, limits: cloud.Limits{Operations: 10_000}, want: cloud.BudgetExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := strings.ReplaceAll(tt.name, " ", "_")
			body := strings.ReplaceAll(tt.body, `"k"`, `"`+key+`"`)
			res := s.run(t, "export default function () { "+set+body+" }", tt.limits)
			if got := cloud.KindOf(res.Err); got != tt.want {
				t.Errorf("got %q (%v, %+v), want %q", got, res.Err, res.Trace, tt.want)
			}
			if got := s.value(t, key) != ""; got != tt.stays {
				t.Errorf("the key is there: %v, want %v", got, tt.stays)
			}
		})
	}
}

// contended is an outbox.Contended.
type contended struct{}

func (contended) Error() string                        { return "somebody else was first" }
func (contended) Unwrap() error                        { return cloud.Errorf(cloud.Conflict, "somebody else was first") }
func (contended) Turn(context.Context) (func(), error) { return func() {}, nil }

// TestConflictInCommitCantBeCaught has ctx.commit() fail because another execution was
// first: the script must end, and the outbox must find out that it has to run again.
func TestConflictInCommitCantBeCaught(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for name, body := range map[string]string{
		"sync":  `try { ctx.commit() } catch (e) { return "escaped" } finally { return "escaped" }`,
		"async": `return (async () => { try { await null; ctx.commit() } catch (e) { return "escaped" } finally { return "escaped" } })()`,
	} {
		inv := invocation(s.app)
		inv.Request = &cloud.Request{Method: "GET", Path: "/"}
		inv.Script = s.scripts.save(cloud.Script{Source: `export default function (ctx) { kv.collection("c").set("n", 1); ` + body + ` }`}).ID
		res, effects := s.Run(t.Context(), inv, func(context.Context, *db.Tx) error { return contended{} })
		effects.Close()
		var c outbox.Contended
		if !errors.As(res.Err, &c) || cloud.KindOf(res.Err) != cloud.Conflict || res.StatusCode != 409 {
			t.Errorf("%s: got %s, %d, %v, want a contended error", name, res.Body, res.StatusCode, res.Err)
		}
		if got := s.value(t, "n"); got != "" {
			t.Errorf("%s: n is %s, want nothing", name, got)
		}
	}
}

func TestLogsAreOfTheirExecution(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	inv := invocation(s.app)
	inv.Request = &cloud.Request{Method: "GET", Path: "/"}
	inv.Script = s.scripts.save(cloud.Script{Source: `let n = 0; export default () => { log.info("run", {n: ++n}); console.warn("w"); if (n == 2) throw new Error("x") }`}).ID
	for want := 1; want <= 2; want++ {
		res, effects := s.Run(t.Context(), inv, nil)
		effects.Close()
		if len(res.Logs) != 2 || res.Logs[0].Message != "run" || string(res.Logs[0].Fields) != fmt.Sprintf(`{"n":%d}`, want) || res.Logs[1].Level != "warn" {
			t.Errorf("run %d: got %+v", want, res.Logs)
		}
	}
}
