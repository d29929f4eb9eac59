package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/app/outbox"
)

var _ outbox.Runner = (*Executor)(nil)

// scriptMap is a Scripts.
type scriptMap struct {
	mu sync.Mutex
	m  map[cloud.ScriptID]*cloud.Script
}

func (s *scriptMap) Script(_ context.Context, id cloud.ScriptID) (*cloud.Script, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x, ok := s.m[id]; ok {
		return x, nil
	}
	return nil, cloud.Errorf(cloud.NotFound, "no such script")
}

func (s *scriptMap) ScriptNamed(_ context.Context, app cloud.AppID, name string) (*cloud.Script, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.m {
		if x.AppID == app && x.Name == name {
			return x, nil
		}
	}
	return nil, cloud.Errorf(cloud.NotFound, "no such script")
}

// save stores a copy of x as the next version of its script.
func (s *scriptMap) save(x cloud.Script) *cloud.Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.ID.IsZero() {
		x.ID = cloud.NewID[cloud.ScriptID]()
	}
	x.Version++
	if x.TimeoutSeconds == 0 {
		x.TimeoutSeconds = 300 // under the race detector, with a low priority, what computes takes long
	}
	if x.Name == "" {
		x.Name = "main"
	}
	s.m[x.ID] = &x
	return &x
}

// machine is an executor with its scripts.
type machine struct {
	*Executor
	scripts *scriptMap
}

func newMachine(t testing.TB, o Options) *machine {
	t.Helper()
	m := &machine{scripts: &scriptMap{m: map[cloud.ScriptID]*cloud.Script{}}}
	o.Scripts = m.scripts
	if o.Engines == nil {
		o.Engines = []string{cloud.EngineQuickJS, cloud.EngineOtto}
	}
	if o.Isolation == "" {
		o.Isolation = testIsolation()
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	m.Executor = e
	return m
}

func (m *machine) call(s *cloud.Script) *cloud.Result {
	inv := invocation(cloud.NewID[cloud.AppID]())
	inv.Script = s.ID
	inv.Request = &cloud.Request{Method: "GET", Path: "/"}
	res, effects := m.Run(context.Background(), inv, nil)
	if effects != nil {
		effects.Close()
	}
	return res
}

func TestRun(t *testing.T) {
	t.Parallel()
	m := newMachine(t, Options{})
	tests := []struct {
		name   string
		script cloud.Script
		status int
		body   string // of the answer, or a part of the trace
	}{
		{"answer", cloud.Script{Source: `export default () => ({a: 1})`}, 200, `{"a":1}`},
		{"otto", cloud.Script{Engine: cloud.EngineOtto, Source: `module.exports = function () { return {a: 1} }`}, 200, `{"a":1}`},
		{"fresh", cloud.Script{Isolation: cloud.IsolationFresh, Source: `let n = 0; export default () => ++n`}, 200, `1`},
		{"throw", cloud.Script{Source: "export default () => {\n  throw new Error('boom')\n}"}, 502, "Error: boom"},
		{"does not compile", cloud.Script{Source: "export default () => {"}, 422, "line 1, column"},
		{"loop", cloud.Script{Limits: cloud.Limits{Operations: 100_000}, Source: "export default () => { for (;;); }"}, 507, "operation budget of 100000"},
		{"time", cloud.Script{TimeoutSeconds: 1, Limits: cloud.Limits{Operations: 5_000_000_000}, Source: "export default () => { for (;;); }"}, 504, "time limit"},
		{"memory", cloud.Script{Limits: cloud.Limits{MemoryBytes: 4 << 20}, Source: "export default () => { const a = []; for (;;) a.push(new Uint8Array(100000)) }"}, 507, "memory limit"},
		{"output", cloud.Script{Limits: cloud.Limits{OutputBytes: 100}, Source: "export default () => 'x'.repeat(200)"}, 507, ""},
		{"engine", cloud.Script{Engine: "v8", Source: "1"}, 422, `the engine "v8" is not enabled on this instance (PICLOUD_ENGINES=quickjs,otto)`},
		{"HttpError", cloud.Script{Source: "export default () => { throw new HttpError(418, 'tea') }"}, 418, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := m.scripts.save(tt.script)
			for range 3 {
				res := m.call(s)
				if res.StatusCode != tt.status {
					t.Fatalf("status: got %d (%v), want %d", res.StatusCode, res.Err, tt.status)
				}
				got := string(res.Body)
				if res.Err != nil {
					got = res.Trace.Message
				}
				if !strings.Contains(got, tt.body) {
					t.Errorf("got %s, want %s", got, tt.body)
				}
				if res.ScriptVersion != s.Version || res.Started == 0 || res.DurationMS <= 0 {
					t.Errorf("got version %d, started %d, %v ms", res.ScriptVersion, res.Started, res.DurationMS)
				}
				if strings.Contains(cloud.Message(res.Err), "boom") {
					t.Errorf("the caller would read the script's message: %s", cloud.Message(res.Err))
				}
			}
		})
	}
}

func TestRunPositions(t *testing.T) {
	t.Parallel()
	m := newMachine(t, Options{})
	res := m.call(m.scripts.save(cloud.Script{Name: "orders", Source: "export default () => {\n  const a = null\n  return a.b\n}"}))
	if tr := res.Trace; tr.File != "orders.js" || tr.Line != 3 || tr.Column == 0 || strings.Contains(tr.Stack, "picloud.js") {
		t.Errorf("got %+v, want orders.js line 3 and only the user's frames", tr)
	}
}

func TestRunOfAMissingScript(t *testing.T) {
	t.Parallel()
	m := newMachine(t, Options{})
	res, effects := m.Run(t.Context(), invocation(cloud.NewID[cloud.AppID]()), nil)
	if cloud.KindOf(res.Err) != cloud.NotFound || effects != nil || !strings.Contains(cloud.Message(res.Err), "does not exist any more") {
		t.Errorf("got %v, %v, want not found and no effects", res.Err, effects)
	}
}

func TestWarmContexts(t *testing.T) {
	t.Parallel()
	m := newMachine(t, Options{})
	const counter = `let n = 0; export default () => ++n`
	a := m.scripts.save(cloud.Script{Source: counter})
	b := m.scripts.save(cloud.Script{Source: counter})
	for i := 1; i <= 3; i++ {
		if got := string(m.call(a).Body); got != fmt.Sprint(i) {
			t.Errorf("run %d in a warm context: got %s", i, got)
		}
	}
	if got := string(m.call(b).Body); got != "1" {
		t.Errorf("another script with the same source: got %s, want 1", got)
	}
	a = m.scripts.save(*a)
	if got := string(m.call(a).Body); got != "1" {
		t.Errorf("a new version: got %s, want 1", got)
	}
	if m.pool.count != 2 {
		t.Errorf("contexts kept: got %d, want one for each script", m.pool.count)
	}
	m.Forget(b.ID)
	m.Close()
	if m.pool.count != 0 || m.pool.bytes != 0 {
		t.Errorf("after Close: %d contexts, %d bytes", m.pool.count, m.pool.bytes)
	}
}

func TestPoolIsBounded(t *testing.T) {
	t.Parallel()
	p := newPool(3, 1000)
	var closed []string
	id := cloud.NewID[cloud.ScriptID]()
	for i := range 5 {
		p.give(scriptKey{id: id, version: 1}, &fakeContext{name: fmt.Sprint("a", i), closed: &closed, bytes: 10}, false)
	}
	p.give(scriptKey{id: cloud.NewID[cloud.ScriptID](), version: 1}, &fakeContext{name: "big", closed: &closed, bytes: 985}, false)
	p.give(scriptKey{id: id}, &fakeContext{name: "old version", closed: &closed, bytes: 10}, false)
	p.give(scriptKey{id: id, version: 1}, &fakeContext{name: "spent", closed: &closed, bytes: 10, spent: true}, false)
	p.give(scriptKey{id: id, version: 1}, &fakeContext{name: "fresh", closed: &closed, bytes: 10}, true)
	if got, want := strings.Join(closed, " "), "a0 a1 a2 a3 old version spent fresh"; got != want {
		t.Errorf("closed %s, want %s", got, want)
	}
	p.give(scriptKey{id: id, version: 2}, &fakeContext{name: "new", closed: &closed}, false)
	if gone, empty := p.stale(time.Now().Add(time.Hour)); len(gone) != 2 || !empty {
		t.Errorf("after a rest: %d closed, empty %v; want 2 and true", len(gone), empty)
	}
	p.close()
}

type fakeContext struct {
	name   string
	closed *[]string
	bytes  int64
	spent  bool
}

func (c *fakeContext) Run(Host, Budget) (string, *Failure) { return "", nil }
func (c *fakeContext) Spent() bool                         { return c.spent }
func (c *fakeContext) Memory() int64                       { return c.bytes }
func (c *fakeContext) Close()                              { *c.closed = append(*c.closed, c.name) }

func TestProgramsCompileOnce(t *testing.T) {
	t.Parallel()
	c := newPrograms()
	key := scriptKey{id: cloud.NewID[cloud.ScriptID](), version: 1}
	compiled := 0
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			p, err := c.get(t.Context(), key, func() (Program, error) {
				compiled++
				return &quickProgram{code: make([]byte, 100)}, nil
			})
			if err != nil || p == nil {
				t.Errorf("got %v, %v", p, err)
			}
		})
	}
	wg.Wait()
	if compiled != 1 || c.bytes != 100 {
		t.Errorf("compiled %d times, %d bytes, want once, 100 bytes", compiled, c.bytes)
	}
	for i := range 2 * maxPrograms {
		c.get(t.Context(), scriptKey{version: i + 2}, func() (Program, error) { return &quickProgram{code: make([]byte, 10)}, nil })
	}
	if c.used.Len() != maxPrograms || c.bytes != 10*maxPrograms {
		t.Errorf("kept %d programs, %d bytes, want %d", c.used.Len(), c.bytes, maxPrograms)
	}
	trouble := errors.New("no memory")
	for range 2 {
		if _, err := c.get(t.Context(), key, func() (Program, error) { compiled++; return nil, trouble }); !errors.Is(err, trouble) {
			t.Errorf("got %v", err)
		}
	}
	if compiled != 3 {
		t.Errorf("a passing trouble was kept: compiled %d times, want 3", compiled)
	}
	c.forget(cloud.ScriptID{})
	if len(c.byKey) != 0 || c.bytes != 0 {
		t.Errorf("%d programs, %d bytes left, want none", len(c.byKey), c.bytes)
	}
}

func TestStuckScriptsAreNotRunAgain(t *testing.T) {
	t.Parallel()
	m := newMachine(t, Options{})
	s := m.scripts.save(cloud.Script{Source: `export default () => 1`})
	if res := m.call(s); res.Err != nil { // its context is warm now
		t.Fatal(res.Err)
	}
	m.stuck(s, invocation(cloud.NewID[cloud.AppID]()))
	if res := m.call(s); cloud.KindOf(res.Err) != cloud.Invalid || !strings.Contains(cloud.Message(res.Err), "not run again") {
		t.Errorf("got %v", res.Err)
	}
	if res := m.call(m.scripts.save(*s)); res.Err != nil {
		t.Errorf("the next version: %v", res.Err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	m := newMachine(t, Options{Memory: 64 << 20, Concurrent: 8})
	tests := []struct {
		name   string
		script cloud.Script
		want   string
	}{
		{"good", cloud.Script{Source: "export default () => 1", Limits: cloud.Limits{Operations: 1000}}, ""},
		{"syntax", cloud.Script{Source: "export default (\n  => 1"}, "line 2"},
		{"memory", cloud.Script{Source: "export default () => 1", Limits: cloud.Limits{MemoryBytes: 9 << 20}}, "limits.memory_bytes"},
		{"negative", cloud.Script{Source: "export default () => 1", Limits: cloud.Limits{LogLines: -1}}, "limits.log_lines"},
		{"engine", cloud.Script{Source: "1", Engine: "v8"}, "not enabled"},
		{"size", cloud.Script{Source: strings.Repeat(" ", maxSource+1)}, "more than"},
	}
	for _, tt := range tests {
		tt.script.Name = "main"
		err := m.Check(t.Context(), &tt.script)
		if tt.want == "" && err != nil || tt.want != "" && (cloud.KindOf(err) != cloud.Invalid || !strings.Contains(cloud.Message(err), tt.want)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestLimitsFitTheMachine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ memory, concurrent, wantDefault, wantCeiling int64 }{
		{256 << 20, 16, 16 << 20, 16 << 20},
		{2 << 30, 16, 64 << 20, 128 << 20},
		{64 << 30, 16, 64 << 20, 512 << 20},
		{64 << 20, 64, 8 << 20, 8 << 20},
	} {
		d, c := limitsFor(tt.memory, int(tt.concurrent), cloud.Limits{})
		if d.MemoryBytes != tt.wantDefault || c.MemoryBytes != tt.wantCeiling {
			t.Errorf("%d MiB for %d: got %d and %d, want %d and %d", tt.memory>>20, tt.concurrent, d.MemoryBytes, c.MemoryBytes, tt.wantDefault, tt.wantCeiling)
		}
	}
}

func TestUnknownEngine(t *testing.T) {
	t.Parallel()
	if _, err := New(Options{Engines: []string{"v8"}}); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("got %v, want invalid", err)
	}
}

// TestManyAtOnce runs several scripts from many goroutines, with failures in between.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t, Options{Concurrent: 4})
	var scripts []*cloud.Script
	for i := range 4 {
		scripts = append(scripts, m.scripts.save(cloud.Script{Source: fmt.Sprintf(`let n = 0; export default () => { if (++n %% 5 == 0) throw 1; return %d }`, i)}))
	}
	scripts = append(scripts, m.scripts.save(cloud.Script{Limits: cloud.Limits{Operations: 100_000}, Source: `export default () => { for (;;); }`}))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 15 {
				n := (g + i) % len(scripts)
				res := m.call(scripts[n])
				if res.Err == nil && string(res.Body) != fmt.Sprint(n) || cloud.KindOf(res.Err) == cloud.Internal {
					t.Errorf("script %d: got %s, %v", n, res.Body, res.Err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkRun(b *testing.B) {
	m := newMachine(b, Options{})
	s := m.scripts.save(cloud.Script{TimeoutSeconds: 30, Source: `export default () => ({hello: "world"})`})
	inv := invocation(cloud.NewID[cloud.AppID]())
	inv.Script = s.ID
	inv.Request = &cloud.Request{Method: "GET", Path: "/hello", Headers: map[string]string{"accept": "*/*", "user-agent": "bench", "host": "x"}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, effects := m.Run(b.Context(), inv, nil)
			if res.Err != nil {
				b.Fatal(res.Err)
			}
			if effects != nil {
				effects.Close()
			}
		}
	})
}
