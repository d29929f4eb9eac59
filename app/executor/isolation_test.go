package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"picloud/app/cloud"
	"picloud/app/sdk"
)

func TestMain(m *testing.M) {
	Worker()
	if os.Getenv("TEST_LOCKED_UP") != "" {
		escape()
		return
	}
	os.Exit(m.Run())
}

// testIsolation is where scripts of all tests run: PICLOUD_ISOLATION=process runs the whole
// suite in worker processes.
func testIsolation() string {
	if v := os.Getenv("PICLOUD_ISOLATION"); v != "" {
		return v
	}
	return InProcess
}

// quickOf is the default engine with a prelude.
func quickOf(t testing.TB, isolation, prelude string) Engine {
	t.Helper()
	e, err := newQuickJS(prelude, sdk.Modern)
	if err != nil {
		t.Fatal(err)
	}
	if isolation == InProcess {
		return e
	}
	return isolatedEngine(t, cloud.EngineQuickJS, &kit{quick: e})
}

// ottoOf is the second engine with a prelude.
func ottoOf(t testing.TB, isolation, prelude string) Engine {
	t.Helper()
	if isolation == Process {
		return isolatedEngine(t, cloud.EngineOtto, &kit{otto: prelude})
	}
	e, err := newOtto(prelude)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// isolatedEngine is an engine in up to four workers, for an app of its own.
func isolatedEngine(t testing.TB, name string, k *kit) *processEngine {
	t.Helper()
	if err := isolated(); err != nil {
		t.Skip(err)
	}
	p := newWorkers(k, 4, 64<<20, testLimits, slog.New(slog.DiscardHandler))
	t.Cleanup(p.close)
	return p.engine(name, cloud.NewID[cloud.AppID]()).(*processEngine)
}

// processes are the ids of the workers' processes, in order.
func (p *workers) processes() (pids []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.live {
		pids = append(pids, w.cmd.Process.Pid)
	}
	slices.Sort(pids)
	return pids
}

// endings counts the workers that ended for a reason, once all that must end have.
func (p *workers) endings(reason string) int {
	return int(testutil.ToFloat64(p.ended.WithLabelValues(reason)))
}

// stuckOtto is a native that looks at nothing for an hour.
const stuckOtto = `Array.prototype.indexOf.call({ length: 4294967295 }, 1)`

// TestNativesThatNeverPollAreKilled has natives run on that nothing but the end of their
// process reaches, alone and under a script that invoked theirs.
func TestNativesThatNeverPollAreKilled(t *testing.T) {
	t.Parallel()
	m := newMachine(t, Options{Isolation: Process})
	app := cloud.NewID[cloud.AppID]()
	hangs := m.scripts.save(cloud.Script{AppID: app, Name: "hangs", Engine: cloud.EngineOtto, TimeoutSeconds: 1, Source: `module.exports = function (ctx) { if (ctx.depth === 1 || ctx.request.path === "/hang") { ` + stuckOtto + ` } return "fine" }`})
	outer := m.scripts.save(cloud.Script{AppID: app, Name: "outer", TimeoutSeconds: 1, Source: `export default () => { try { invoke("hangs") } finally { return "escaped" } }`})
	for i, tt := range []struct {
		script *cloud.Script
		path   string
		status int
	}{{hangs, "/hang", 504}, {hangs, "/", 200}, {outer, "/", 504}, {hangs, "/", 200}} {
		inv := invocation(app)
		inv.Script = tt.script.ID
		inv.Request = &cloud.Request{Method: "GET", Path: tt.path}
		res, _ := m.Run(t.Context(), inv, nil)
		if res.StatusCode != tt.status {
			t.Errorf("%d: got %d, %s, %v, want %d", i, res.StatusCode, res.Body, res.Err, tt.status)
		}
	}
	if got := m.workers.endings(endTime); got != 2 {
		t.Errorf("%d workers were killed for their time, want 2", got)
	}
	if got := testutil.ToFloat64(m.metrics.stuck); got != 0 {
		t.Errorf("%v executions are stuck, want none", got)
	}
}

// TestWorkersThatEatMemoryEnd has otto, which has no limit of its own, meet the process's.
func TestWorkersThatEatMemoryEnd(t *testing.T) {
	t.Parallel()
	if raceEnabled {
		t.Skip("the race detector ends first")
	}
	e := isolatedEngine(t, cloud.EngineOtto, &kit{otto: testPrelude})
	e.workers.memory = 48 << 20
	c := start(t, e, `module.exports = function (ctx) { if (!ctx.eat) { return 1 } var all = []; for (;;) { var s = "x"; for (var i = 0; i < 20; i++) { s += s } all.push(s) } }`)
	b := budget(time.Minute)
	b.Limits.Operations = 1 << 60
	if got := outcome(c.Run(newHost(`{"eat":true}`), b)); got != "budget_exceeded: the memory of the worker process was used up" {
		t.Errorf("got %s", got)
	}
	if !c.Spent() {
		t.Error("the context would be used again")
	}
	if got := outcome(start(t, e, `module.exports = function () { return 2 }`).Run(newHost(`{}`), b)); got != "v2" {
		t.Errorf("afterwards: got %s", got)
	}
}

// hookHost calls f at each host call.
type hookHost struct {
	*fakeHost
	f func()
}

func (h hookHost) Host(op, args string) (string, error) {
	h.f()
	return h.fakeHost.Host(op, args)
}

// killAll kills every process that there is now, as the kernel does when memory is short.
func (p *workers) killAll() {
	for _, pid := range p.processes() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestLostWorkersAreToldFromOthers(t *testing.T) {
	t.Parallel()
	e := isolatedEngine(t, cloud.EngineQuickJS, mustKit(t))
	c := start(t, e, `module.exports = function (c) { return call("echo", c.n) }`)
	for range 2 {
		_, f := c.Run(hookHost{newHost(`{"n":1}`), e.workers.killAll}, budget(time.Minute))
		if f == nil || cloud.KindOf(f.Err) != cloud.Overloaded || !strings.Contains(cloud.Message(f.Err), "killed from outside") || !c.Spent() {
			t.Fatalf("got %v, spent %v, want it lost", f, c.Spent())
		}
		if got := outcome(start(t, e, `module.exports = function (c) { return call("echo", c.n) }`).Run(newHost(`{"n":2}`), budget(time.Minute))); got != "v2" {
			t.Errorf("the next one: got %s", got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := budget(time.Minute)
	b.Ctx, b.Limits.Operations = ctx, 1<<60
	_, f := start(t, e, `module.exports = function (c) { call("echo", 1); for (;;); }`).Run(hookHost{newHost(`{}`), cancel}, b)
	if f == nil || cloud.KindOf(f.Err) != cloud.Overloaded || !strings.Contains(cloud.Message(f.Err), "stopping") {
		t.Errorf("called off: got %v", f)
	}
}

// On a machine so busy that a worker did not compile a small script within ten seconds, the
// script was called invalid. It is not: its callers may try again.
func TestLateCompilingIsATimeout(t *testing.T) {
	t.Parallel()
	e := isolatedEngine(t, cloud.EngineQuickJS, mustKit(t))
	w, err := e.workers.forCompiling(e.app)
	if err != nil {
		t.Fatal(err)
	}
	defer e.workers.compiled(w)
	w.killAfter(time.Now())
	if err := e.notCompiled(w, "main"); cloud.KindOf(err) != cloud.Timeout || !strings.Contains(cloud.Message(err), "less busy") {
		t.Errorf("got %v, want a timeout that says what to do", err)
	}
}

func mustKit(t testing.TB) *kit {
	t.Helper()
	quick, err := newQuickJS(testPrelude, sdk.Modern)
	if err != nil {
		t.Fatal(err)
	}
	return &kit{quick: quick, otto: testPrelude}
}

// hookScripts is a Scripts with a hook where scripts are invoked.
type hookScripts struct {
	*scriptMap
	hook func()
}

func (s hookScripts) ScriptNamed(ctx context.Context, app cloud.AppID, name string) (*cloud.Script, error) {
	s.hook()
	return s.scriptMap.ScriptNamed(ctx, app, name)
}

// TestLostWorkersAreReplacedOnce has a worker killed from outside in the middle of an
// execution: it runs again unless it has committed something or lost a worker before.
func TestLostWorkersAreReplacedOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if s.workers == nil {
		s.isolateForTest(t)
	}
	s.scripts.save(cloud.Script{AppID: s.app, Name: "echo", Source: `export default (ctx) => ctx.args`})
	var kills atomic.Int32
	s.Executor.scripts = hookScripts{s.scripts, func() {
		if kills.Add(-1) >= 0 {
			s.workers.killAll()
		}
	}}
	for _, tt := range []struct {
		name, body string
		kills      int32
		want       string
	}{
		{"once", `log.info("in"); c.increment("once"); invoke("echo", 1); return c.get("once")`, 1, "1"},
		{"twice", `c.increment("twice"); invoke("echo", 1); return c.get("twice")`, 2, "overloaded"},
		{"after a commit", `c.increment("after"); ctx.commit(); invoke("echo", 1); return c.get("after")`, 1, "overloaded"},
	} {
		kills.Store(tt.kills)
		res := s.run(t, `export default (ctx) => { const c = kv.collection("c"); `+tt.body+` }`, cloud.Limits{})
		got := string(res.Body)
		if res.Err != nil {
			got = string(cloud.KindOf(res.Err))
		}
		if got != tt.want {
			t.Errorf("%s: got %s (%v), want %s", tt.name, got, res.Err, tt.want)
		}
		if tt.name == "once" && len(res.Logs) != 1 {
			t.Errorf("%d lines are logged, want those of the last run", len(res.Logs))
		}
	}
	for key, want := range map[string]string{"once": "1", "twice": "", "after": "1"} {
		if got := s.value(t, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// isolateForTest gives an executor workers.
func (m *machine) isolateForTest(t testing.TB) {
	t.Helper()
	if err := m.isolate(Options{Concurrent: 8, Memory: 256 << 20}); err != nil {
		t.Fatal(err)
	}
}

// TestKilledWorkersLoseNothing kills workers at random under load: every execution that
// succeeded has happened, and none that failed.
func TestKilledWorkersLoseNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if s.workers == nil {
		s.isolateForTest(t)
	}
	script := s.scripts.save(cloud.Script{AppID: s.app, Source: `export default () => { const c = kv.collection("c"); c.add("n", 1); let x = 0; for (let i = 0; i < 3000; i++) x += i; c.get("other"); return x }`})
	runs := 100
	if raceEnabled {
		runs = 20
	}
	if os.Getenv("PICLOUD_LONG") != "" {
		runs = 5000
	}
	var done, failed atomic.Int32
	over := make(chan struct{})
	var killer, callers sync.WaitGroup
	killer.Go(func() {
		for last := int32(0); ; {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(rand.IntN(30)) * time.Millisecond):
			}
			if done.Load() == last { // let something come through, however slow the machine
				continue
			}
			last = done.Load()
			if pids := s.workers.processes(); len(pids) > 0 {
				syscall.Kill(pids[rand.IntN(len(pids))], syscall.SIGKILL)
			}
		}
	})
	for range 4 {
		callers.Go(func() {
			for range runs {
				inv := invocation(s.app)
				inv.Script = script.ID
				inv.Request = &cloud.Request{Method: "GET", Path: "/"}
				res, effects := s.Run(t.Context(), inv, nil)
				if res.Err != nil && cloud.KindOf(res.Err) != cloud.Overloaded {
					t.Errorf("got %v, want an answer or overloaded", res.Err)
				}
				if res.Err == nil {
					if err := s.db.Update(t.Context(), effects.Apply); err != nil {
						t.Error(err)
					}
					done.Add(1)
				} else {
					failed.Add(1)
				}
				if effects != nil {
					effects.Close()
				}
			}
		})
	}
	callers.Wait()
	close(over)
	killer.Wait()
	if got, want := s.value(t, "n"), fmt.Sprint(done.Load()); got != want {
		t.Errorf("n is %s, want %s", got, want)
	}
	if done.Load() == 0 || s.workers.endings(endLost) == 0 {
		t.Errorf("%d executions succeeded, %d workers were lost: that shows nothing", done.Load(), s.workers.endings(endLost))
	}
	t.Logf("%d succeeded, %d failed, %d workers were killed", done.Load(), failed.Load(), s.workers.endings(endLost))
}

// TestWorkersAreOfOneApp checks that no process ever holds two apps' scripts, that callers who
// invoke don't wait for each other, and that none of it needs more places than there are.
func TestWorkersAreOfOneApp(t *testing.T) {
	t.Parallel()
	m := newMachine(t, Options{Isolation: Process, Workers: 2})
	var mu sync.Mutex
	owner := map[int]cloud.AppID{}
	var wg sync.WaitGroup
	for range 4 {
		app := cloud.NewID[cloud.AppID]()
		m.scripts.save(cloud.Script{AppID: app, Name: "deep", Engine: cloud.EngineOtto, Source: `module.exports = function (ctx) { return ctx.args > 0 ? invoke("deep", ctx.args - 1) + 1 : 0 }`})
		s := m.scripts.save(cloud.Script{AppID: app, Name: "main", Source: `export default () => invoke("deep", 5) + 1`})
		for range 2 {
			wg.Go(func() {
				for range 3 {
					inv := invocation(app)
					inv.Script = s.ID
					inv.Request = &cloud.Request{Method: "GET", Path: "/"}
					if res, _ := m.Run(t.Context(), inv, nil); string(res.Body) != "6" {
						t.Errorf("got %s, %v", res.Body, res.Err)
					}
					m.workers.mu.Lock()
					for w := range m.workers.live {
						mu.Lock()
						if before, known := owner[w.cmd.Process.Pid]; known && before != w.app {
							t.Errorf("process %d is of two apps", w.cmd.Process.Pid)
						}
						owner[w.cmd.Process.Pid] = w.app
						mu.Unlock()
					}
					m.workers.mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	if got := len(m.workers.processes()); got > 2+workerCompile {
		t.Errorf("%d processes live, want at most 2 and those that compile", got)
	}
	m.Close()
	if got := m.workers.processes(); len(got) > 0 {
		t.Errorf("after the end there are still %d", len(got))
	}
}

// TestNoWorkerIsFree checks the answer to who waits in vain for a place.
func TestNoWorkerIsFree(t *testing.T) {
	t.Parallel()
	e := isolatedEngine(t, cloud.EngineQuickJS, mustKit(t))
	for range e.workers.most {
		<-e.workers.running
	}
	_, f := start(t, e, `module.exports = function () {}`).Run(newHost(`{}`), budget(10*time.Millisecond))
	if f == nil || cloud.KindOf(f.Err) != cloud.Overloaded || !strings.Contains(cloud.Message(f.Err), "PICLOUD_ISOLATION_WORKERS") {
		t.Errorf("got %+v, want overloaded", f)
	}
}

// TestWorkersInUseStay checks that an app which starts many workers doesn't end that of another
// one between two of its runs: its next run would wait for the start of a process, beside
// those that compute.
func TestWorkersInUseStay(t *testing.T) {
	t.Parallel()
	kept := isolatedEngine(t, cloud.EngineQuickJS, mustKit(t))
	p := kept.workers
	greedy := p.engine(cloud.EngineQuickJS, cloud.AppID{15: 9})
	c := start(t, kept, `var n = 0; module.exports = function () { return ++n }`)
	run := func(want string) {
		t.Helper()
		if got := outcome(c.Run(newHost(`{}`), budget(time.Minute))); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	endless := func() {
		var slow []Context // compiled one after the other: to compile takes workers, too
		for range p.most {
			slow = append(slow, start(t, greedy, `module.exports = function () { for (;;); }`))
		}
		var all sync.WaitGroup
		for _, c := range slow {
			all.Go(func() { c.Run(newHost(`{}`), budget(300*time.Millisecond)) })
		}
		all.Wait()
	}
	run("v1")
	p.mu.Lock()
	home := c.(*processContext).home
	p.mu.Unlock()
	endless()
	run("v2")
	if got := c.(*processContext).home; got != home || home.why() != "" {
		t.Errorf("the worker of an app that used it just now was ended (%s)", home.why())
	}
	p.mu.Lock()
	home.since = home.since.Add(-workerRest)
	p.mu.Unlock()
	endless()
	if got := home.why(); got != endRoom {
		t.Errorf("one that rests was ended for %q, want for room", got)
	}
}

// TestIdleWorkersEnd checks that a resting instance holds none, and that contexts find a new one.
func TestIdleWorkersEnd(t *testing.T) {
	t.Parallel()
	e := isolatedEngine(t, cloud.EngineQuickJS, mustKit(t))
	c := start(t, e, `var n = 0; module.exports = function () { return ++n }`)
	for _, want := range []string{"v1", "v2"} {
		if got := outcome(c.Run(newHost(`{}`), budget(time.Minute))); got != want {
			t.Errorf("got %s, want %s: the context is not warm", got, want)
		}
	}
	e.workers.mu.Lock()
	w := e.workers.idle[0]
	w.since = w.since.Add(-workerIdle)
	e.workers.mu.Unlock()
	e.workers.tidy()
	<-w.gone
	if got := len(e.workers.processes()); got != 0 {
		t.Errorf("%d processes live, want none", got)
	}
	if got := outcome(c.Run(newHost(`{}`), budget(time.Minute))); got != "v1" {
		t.Errorf("in a new worker: got %s, want v1", got)
	}
}

// TestRestingContextsAreBound checks that contexts which rest in a worker give way.
func TestRestingContextsAreBound(t *testing.T) {
	t.Parallel()
	e := isolatedEngine(t, cloud.EngineQuickJS, mustKit(t))
	e.workers.keep = 10 << 20
	var all []Context
	for range 5 {
		c := start(t, e, `var keep = new ArrayBuffer(4 << 20), n = 0; module.exports = function () { return keep && ++n }`)
		all = append(all, c)
		c.Run(newHost(`{}`), budget(time.Minute))
	}
	var got []string
	for _, c := range slices.Backward(all) {
		got = append(got, outcome(c.Run(newHost(`{}`), budget(time.Minute))))
	}
	if want := "v2 v2 v2 v1 v1"; strings.Join(got, " ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// escape is what a worker's process tries when TestLockUp runs it: it prints what succeeded.
func escape() {
	if err := lockUp(64 << 20); err != nil {
		fmt.Print(err)
		return
	}
	try := func(what string, f func() error) {
		if f() == nil {
			fmt.Println(what)
		}
	}
	try("read a file", func() error { _, err := os.ReadFile("/etc/passwd"); return err })
	try("make a file", func() error { _, err := os.CreateTemp("/tmp", "escape"); return err })
	try("list a folder", func() error { _, err := os.ReadDir("/"); return err })
	try("connect", func() error { _, err := net.Dial("tcp", "127.0.0.1:1"); return err })
	try("listen", func() error { _, err := net.Listen("tcp", "127.0.0.1:0"); return err })
	try("make a socket", func() error { _, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0); return err })
	try("start a process", func() error { return exec.Command("/bin/true").Run() })
	try("become it", func() error { return syscall.Exec("/bin/true", []string{"true"}, nil) })
	try("signal its parent", func() error { return syscall.Kill(os.Getppid(), 0) })
	try("trace its parent", func() error { return syscall.PtraceAttach(os.Getppid()) })
	try("raise a limit", func() error { return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 100, Max: 100}) })
	try("change its user", func() error { return syscall.Setuid(1) })
	try("mount", func() error { return syscall.Mount("none", "/mnt", "tmpfs", 0, "") })
	fmt.Println("end")
	if raceEnabled {
		return // its runtime would be short of memory first
	}
	debug.SetGCPercent(-1)
	var all [][]byte
	for range 32 {
		all = append(all, bytes.Repeat([]byte{1}, 8<<20))
	}
	fmt.Println("take memory", len(all))
}

func TestLockUp(t *testing.T) {
	t.Parallel()
	if err := isolated(); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"TEST_LOCKED_UP=1"}
	var words tail
	cmd.Stderr = &words
	out, err := cmd.Output()
	if string(out) != "end\n" {
		t.Errorf("a locked up process could: %s", out)
	}
	if state, ok := errors.AsType[*exec.ExitError](err); !raceEnabled && (!ok || endOf(state.ProcessState, words.String()) != endMemory) {
		t.Errorf("it ended with %v, %s; want its memory used up", err, words.String())
	}
}

// TestWorkersInheritNothing looks at a worker from outside.
func TestWorkersInheritNothing(t *testing.T) {
	t.Parallel()
	e := isolatedEngine(t, cloud.EngineQuickJS, mustKit(t))
	start(t, e, `module.exports = function () { }`).Run(newHost(`{}`), budget(time.Minute))
	dir := "/proc/" + strconv.Itoa(e.workers.processes()[0])
	if b, err := os.ReadFile(dir + "/environ"); err != nil || len(b) > 0 {
		t.Errorf("environment: %q, %v", b, err)
	}
	if cwd, err := os.Readlink(dir + "/cwd"); err != nil || cwd != "/" {
		t.Errorf("working directory: %s, %v", cwd, err)
	}
	files := map[string]int{}
	list, err := os.ReadDir(dir + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		name, _ := os.Readlink(dir + "/fd/" + f.Name())
		kind, _, _ := strings.Cut(name, ":[")
		files[kind]++
	}
	delete(files, "anon_inode:[eventpoll]")
	delete(files, "anon_inode:[eventfd]")
	delete(files, "anon_inode")
	for name := range files { // the runtime keeps its cgroup's limit of processors open
		if strings.HasPrefix(name, "/sys/fs/cgroup") {
			delete(files, name)
		}
	}
	if want := map[string]int{"/dev/null": 2, "pipe": 1, "socket": 1}; !maps.Equal(files, want) {
		t.Errorf("descriptors: got %v, want %v", files, want)
	}
	limits, _ := os.ReadFile(dir + "/limits")
	for _, want := range []string{"Max core file size        0 ", "Max file size             0 ", "Max open files            16 "} {
		if !bytes.Contains(limits, []byte(want)) {
			t.Errorf("limits: no line %q in\n%s", want, limits)
		}
	}
}

// FuzzWorkerFrames has a worker say anything at all to an execution and to a compilation.
func FuzzWorkerFrames(f *testing.F) {
	say := func(build func(m *message, at func(frameKind) int)) []byte {
		var m message
		build(&m, m.begin)
		return m.b
	}
	done := func(m *message, ok bool, text string) {
		at := m.begin(frameDone)
		m.flag(ok)
		m.text(text)
		m.flag(false)
		m.number(1 << 20)
		m.end(at)
	}
	call := func(m *message, op string) {
		at := m.begin(frameCall)
		m.text(op)
		m.text(`["a"]`)
		m.number(5)
		m.end(at)
	}
	f.Add(say(func(m *message, _ func(frameKind) int) { call(m, "echo"); done(m, true, "v1") }))
	f.Add(say(func(m *message, _ func(frameKind) int) {
		call(m, "fatal")
		done(m, false, `{"Kind":"internal","Message":"x","Ended":true,"Trace":{"line":5}}`)
	}))
	f.Add(say(func(m *message, _ func(frameKind) int) { call(m, "fatal"); call(m, "echo") }))
	f.Add(say(func(m *message, _ func(frameKind) int) {
		done(m, false, `{"Kind":"script_error","Thrown":{"Name":"E"},"Stuck":true}`)
	}))
	f.Add(say(func(m *message, begin func(frameKind) int) {
		at := begin(frameCompiled)
		m.flag(true)
		m.text("code")
		m.number(1)
		m.text("lib")
		m.end(at)
	}))
	f.Add([]byte{byte(frameDone), 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, said []byte) {
		h := newHost(`{}`)
		in := newFrames(bytes.NewReader(said), frameBound(testLimits))
		var ended error
		var fail *Failure
		var finished string
		c := &processContext{file: "main.js"}
		for {
			kind, f, err := in.next()
			if err != nil {
				break
			}
			if kind == frameCall && ended == nil {
				if op, args, _, err := readCall(f); err == nil {
					_, ended = h.Host(op, args)
					continue
				}
				break
			}
			if kind != frameDone {
				break
			}
			finished, fail, err = c.readDone(f, ended)
			if err != nil {
				break
			}
			if ended != nil && (fail == nil || !errors.Is(fail.Err, ended)) {
				t.Errorf("after a fatal host call: got %q, %+v", finished, fail)
			}
			if fail != nil && (fail.Err == nil || fail.Trace == nil || len(fail.Trace.Message) > 4200 || len(fail.Trace.Stack) > 2*8200) {
				t.Errorf("not bounded: %+v", fail)
			}
			break
		}
		if cap(in.buf) > 2*len(said)+2*frameStep {
			t.Errorf("%d bytes of memory for %d that were said", cap(in.buf), len(said))
		}
		kind, g, err := newFrames(bytes.NewReader(said), maxCode).next()
		if err == nil {
			if p, err := readCompiled(kind, g, "main.js"); err == nil && len(p.Imports()) > maxImports {
				t.Errorf("%d imports", len(p.Imports()))
			}
		}
	})
}
