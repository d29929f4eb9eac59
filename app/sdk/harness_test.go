package sdk

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/robertkrimen/otto"
	"modernc.org/quickjs"

	"picloud/app/cloud"
	"picloud/app/data"
	"picloud/app/outbox"
	"picloud/db"
	"picloud/db/dbtest"
)

// engine is a bare JavaScript engine: eval answers the text that source comes to.
type engine interface {
	eval(source string) (string, error)
	host(name string, f func(op, args string) (string, error)) error
}

type ottoEngine struct{ vm *otto.Otto }

func (e ottoEngine) eval(source string) (string, error) {
	v, err := e.vm.Run(source)
	return v.String(), err
}

func (e ottoEngine) host(name string, f func(op, args string) (string, error)) error {
	return e.vm.Set(name, func(c otto.FunctionCall) otto.Value {
		out, err := f(c.Argument(0).String(), c.Argument(1).String())
		if err != nil {
			panic(e.vm.MakeCustomError("fatal", err.Error()))
		}
		v, _ := otto.ToValue(out) // a string is always a value
		return v
	})
}

type quickEngine struct{ vm *quickjs.VM }

func (e quickEngine) eval(source string) (string, error) {
	v, err := e.vm.Eval(source, quickjs.EvalGlobal)
	text, _ := v.(string)
	return text, err
}

func (e quickEngine) host(name string, f func(op, args string) (string, error)) error {
	return e.vm.RegisterHostFunc(name, func(args []any) (any, error) { return f(args[0].(string), args[1].(string)) })
}

// onEngines runs test on the prelude alone in each bare engine: what works on otto is ES5.
// app/executor has the tests of the engines as they really run.
func onEngines(t *testing.T, withStore bool, test func(*testing.T, *sandbox)) {
	t.Parallel()
	t.Run("otto", func(t *testing.T) {
		t.Parallel()
		test(t, newSandbox(t, ottoEngine{otto.New()}, withStore))
	})
	t.Run("quickjs", func(t *testing.T) {
		t.Parallel()
		vm, err := quickjs.NewVM()
		must(t, err)
		t.Cleanup(func() { _ = vm.Close() })
		test(t, newSandbox(t, quickEngine{vm}, withStore))
	})
}

// sandbox is the prelude in an engine, and the execution under way.
type sandbox struct {
	t        *testing.T
	engine   engine
	call     *Call
	services Services
	db       *db.DB // nil without a store
}

type noTriggers struct{}

func (noTriggers) Emit(context.Context, *db.Tx, cloud.Origin, cloud.Event) error { return nil }

// modernForTest loads Modern for the prelude when a test has put it there; bytes, which the
// real engine converts, it can't handle.
const modernForTest = `typeof modernForTest === "undefined" ? undefined : function (sdk) { return modernForTest(sdk, {}); }`

// newSandbox has a store of its own when it is asked for one.
func newSandbox(t *testing.T, e engine, withStore bool) *sandbox {
	t.Helper()
	s := &sandbox{t: t, engine: e}
	if withStore {
		s.db = dbtest.Open(t)
		s.services.Outbox = outbox.New(s.db, outbox.Options{})
		s.services.Data = data.New(s.db, noTriggers{}, data.Options{})
	}
	s.begin(publicCall())
	must(t, e.host("hostForTest", func(op, args string) (string, error) { return s.call.Host(op, args) }))
	// The prelude's value is found as engines find it: by running it, not by its text.
	_, err := e.eval("var preludeForTest = (" + strings.TrimRight(strings.TrimSpace(withoutHead(Prelude)), ";") + ")(hostForTest, " + modernForTest + "); ''")
	must(t, err)
	return s
}

// withoutHead drops the comment before the prelude's expression.
func withoutHead(js string) string {
	for strings.HasPrefix(js, "//") {
		_, js, _ = strings.Cut(js, "\n")
	}
	return js
}

func publicCall() *cloud.Invocation {
	id := cloud.NewID[cloud.ExecutionID]()
	return &cloud.Invocation{ID: id, Root: id, Attempt: 1, App: cloud.NewID[cloud.AppID](), Script: cloud.NewID[cloud.ScriptID](), Source: cloud.SourceHTTP}
}

// begin starts the next execution, in the same context.
func (s *sandbox) begin(inv *cloud.Invocation) {
	s.t.Helper()
	if s.db != nil {
		must(s.t, s.db.Update(s.t.Context(), func(_ context.Context, tx *db.Tx) error {
			_, err := tx.Exec(`INSERT OR IGNORE INTO apps (id, slug, name, created_at, updated_at) VALUES (?, ?, '', 0, 0)`, inv.App, inv.App.String())
			return err
		}))
	}
	script := &cloud.Script{ID: inv.Script, AppID: inv.App, AppSlug: "demo", Name: "hello", Version: 3}
	s.call = NewCall(s.t.Context(), s.services, inv, script, time.UnixMilli(1767366245000), cloud.Limits{}, nil)
	if s.call.Unit != nil {
		s.t.Cleanup(s.call.Unit.Close)
	}
}

// run makes source the body of a handler and answers what it answered. A throw that isn't
// an HttpError comes back as trace.
func (s *sandbox) run(source string) (res *cloud.Result, trace map[string]string, err error) {
	s.t.Helper()
	context, err := json.Marshal(string(s.call.Context()))
	must(s.t, err)
	text, err := s.engine.eval(`(function () {
		var engine = preludeForTest, ctx = engine.begin(` + string(context) + `), v, text;
		try { v = (function () {` + source + "\n" + `})(); } catch (e) {
			text = engine.fail(e);
			return text === "" ? "!" + engine.describe(e) : text;
		}
		return engine.finish(v);
	})()`)
	must(s.t, err)
	if text[0] == '!' {
		must(s.t, json.Unmarshal([]byte(text[1:]), &trace))
		return nil, trace, nil
	}
	res, err = Answer([]byte(text), 0)
	return res, nil, err
}

// value is the JSON that source returns; it must not fail.
func (s *sandbox) value(source string) string {
	s.t.Helper()
	res, trace, err := s.run(source)
	if trace != nil || err != nil {
		s.t.Fatalf("%s\nfailed: %v %v", source, trace, err)
	}
	return string(res.Body)
}

// thrown is "name: message" of what source throws; it must throw.
func (s *sandbox) thrown(source string) string {
	s.t.Helper()
	res, trace, err := s.run(source)
	if trace == nil {
		s.t.Fatalf("%s\nthrew nothing, but answered %v %v", source, res, err)
	}
	return trace["name"] + ": " + trace["message"]
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
