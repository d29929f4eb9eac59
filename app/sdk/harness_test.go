package sdk

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/robertkrimen/otto"

	"picloud/app/cloud"
	"picloud/app/data"
	"picloud/db"
	"picloud/db/dbtest"
)

// sandbox runs scripts on the prelude alone, in a bare otto: what works here is ES5. The
// engines of app/executor have their own tests.
type sandbox struct {
	t        *testing.T
	vm       *otto.Otto
	call     *Call
	services Services
	db       *db.DB // nil without a store
}

type noTriggers struct{}

func (noTriggers) Emit(context.Context, *db.Tx, cloud.Origin, cloud.Event) error { return nil }

// newSandbox has a store of its own when it is asked for one.
func newSandbox(t *testing.T, withStore bool) *sandbox {
	t.Helper()
	s := &sandbox{t: t, vm: otto.New()}
	if withStore {
		s.db = dbtest.Open(t)
		s.services.Data = data.New(s.db, noTriggers{}, data.Options{})
	}
	s.begin(publicCall())
	must(t, s.vm.Set("hostForTest", func(c otto.FunctionCall) otto.Value {
		out, fatal := s.call.Host(c.Argument(0).String(), c.Argument(1).String())
		if fatal != nil {
			panic(s.vm.MakeCustomError("fatal", fatal.Error()))
		}
		v, err := otto.ToValue(out)
		must(t, err)
		return v
	}))
	_, err := s.vm.Run("var engineForTest = " + Prelude[len(headComment()):] + "\n;engineForTest = engineForTest(hostForTest);")
	must(t, err)
	return s
}

// headComment is what stands before the prelude's expression.
func headComment() string {
	for i := range Prelude {
		if Prelude[i] == '(' && (i == 0 || Prelude[i-1] == '\n') {
			return Prelude[:i]
		}
	}
	return ""
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
	must(s.t, s.vm.Set("contextForTest", string(s.call.Context())))
	out, err := s.vm.Run(`(function () {
		var engine = engineForTest, ctx = engine.begin(contextForTest), v, text;
		try { v = (function () {` + source + "\n" + `})(); } catch (e) {
			text = engine.fail(e);
			return text === "" ? "!" + engine.describe(e) : text;
		}
		return engine.finish(v);
	})()`)
	must(s.t, err)
	text := out.String()
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
