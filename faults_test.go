package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// load is work of every kind whose promises can be checked from outside: what was
// acknowledged is there, its effects happened once, nothing is half done.
type load struct {
	in    *instance
	n     int                     // of the last step
	acked map[string]map[int]bool // by kind of work
	seen  map[string]int          // answers, by kind of work and status
}

// works are the kinds of work: where a request goes, and what it says of number n.
var works = []struct {
	name, as, method, path, body string
	ok                           int
}{
	{"pair", "nobody", "POST", "/pair", `%d`, 200},
	{"later", "nobody", "POST", "/later", `%d`, 202},
	{"admin", "owner", "PUT", "/api/v1/admin/apps/default/kv/admin/", `{"value":%d}`, 200},
	{"queue", "owner", "POST", "/api/v1/admin/apps/default/queues/q/messages", `{"message":%d}`, 201},
}

// newLoad deploys what the work needs.
func newLoad(t *testing.T, in *instance) *load {
	t.Helper()
	in.deploy(t, "pair", `export default function (ctx) {
		const n = String(ctx.request.body);
		kv.collection("a").set(n, "x".repeat(2000));
		kv.collection("b").set(n, "y".repeat(2000));
		pubsub.publishDurable("pairs", n);
		return n;
	}`, "/pair", "sync")
	in.deploy(t, "later", `export default function (ctx) { kv.collection("later").increment(String(ctx.request.body)); }`, "/later", "async")
	in.deploy(t, "dump", dumpSource, "/dump", "sync")
	in.deploy(t, "read", `export default () => kv.collection("a").get("0") ?? "none"`, "/read", "sync")
	trigger := func(kind, name, source string, more map[string]any) {
		more["script_id"] = in.deploy(t, name, source, "", "")
		in.must(t, "POST", "/api/v1/admin/apps/default/triggers/"+kind, more)
	}
	trigger("pubsub", "heard", `export default function (ctx) { kv.collection("heard").increment(ctx.event.pubsub.message); }`, map[string]any{"topic": "pairs"})
	trigger("kv", "echo", `export default function (ctx) { kv.collection("echo").increment(ctx.event.kv.key); }`, map[string]any{"collection_glob": "admin"})
	trigger("queue", "receive", `export default function (ctx) { for (const m of ctx.event.queue.messages) kv.collection("queue").increment(String(m.body)); }`, map[string]any{"queue": "q"})
	l := &load{in: in, acked: map[string]map[int]bool{}, seen: map[string]int{}}
	for _, w := range works {
		l.acked[w.name] = map[int]bool{}
	}
	return l
}

// loaded is newFaulty, started with env, under a load whose first step is done.
func loaded(t *testing.T, mount func(dir string), env ...string) (in *instance, l *load, start func(env ...string)) {
	t.Helper()
	in, start = newFaulty(t, mount)
	start(env...)
	l = newLoad(t, in)
	l.step(t)
	return in, l, start
}

// step does one piece of each work, and reads. It returns how many were refused; a refusal
// must say that the machine can't now, and why.
func (l *load) step(t *testing.T) (refused int) {
	t.Helper()
	l.n++
	for _, w := range works {
		r := request{as: w.as, method: w.method, path: w.path, body: fmt.Sprintf(w.body, l.n), header: http.Header{}}
		if w.name == "admin" {
			r.path += strconv.Itoa(l.n)
		}
		status, _, body, err := l.in.do(r)
		if err != nil {
			t.Fatalf("%s %d: %v", w.name, l.n, err)
		}
		l.seen[w.name+" "+strconv.Itoa(status)]++
		if status == w.ok {
			l.acked[w.name][l.n] = true
			continue
		}
		refused++
		if !plain(status, body) {
			t.Errorf("%s %d: answered %d %s: want a refusal that says why", w.name, l.n, status, body)
		}
	}
	l.reads(t)
	return refused
}

// plain reports whether an answer says that the machine can't do something now, in words
// for people.
func plain(status int, body []byte) bool {
	var f struct {
		Error struct{ Code, Message string }
	}
	return (status == 503 && json.Unmarshal(body, &f) == nil && f.Error.Code == "overloaded" ||
		status == 507 && json.Unmarshal(body, &f) == nil && f.Error.Code == "budget_exceeded") && len(f.Error.Message) > 20
}

// reads checks that what writes nothing goes on.
func (l *load) reads(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/hello", "/read", "/healthz"} {
		if status, _, body, err := l.in.do(request{as: "nobody", method: "GET", path: path, header: http.Header{}}); err != nil || status != 200 {
			t.Errorf("GET %s: %d %s %v", path, status, body, err)
		}
	}
	for _, path := range []string{"/api/v1/admin/apps/default/kv/a?limit=1", "/api/v1/admin/system"} {
		if status, _, body, err := l.in.do(request{as: "owner", method: "GET", path: path, header: http.Header{}}); err != nil || status != 200 {
			t.Errorf("GET %s: %d %s %v", path, status, body, err)
		}
	}
}

// check waits until the work is done and compares it with what was acknowledged.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.in.drain(t)
	a, b := l.in.dump(t, "a"), l.in.dump(t, "b")
	for n := range a {
		if b[n] == nil {
			t.Errorf("pair %s is half done", n)
		}
	}
	for n := range b {
		if a[n] == nil {
			t.Errorf("pair %s is half done", n)
		}
	}
	for work, effect := range map[string]string{"pair": "heard", "later": "later", "admin": "echo", "queue": "queue"} {
		counts := l.in.dump(t, effect)
		for n, count := range counts {
			if count != 1.0 {
				t.Errorf("%s: the effect of %s happened %v times", effect, n, count)
			}
		}
		for n := range l.acked[work] {
			if counts[strconv.Itoa(n)] == nil {
				t.Errorf("%s: %d was acknowledged and its effect is missing", effect, n)
			}
		}
	}
	admin := l.in.dump(t, "admin")
	for n := range l.acked["pair"] {
		if a[strconv.Itoa(n)] == nil {
			t.Errorf("pair %d was acknowledged and is missing", n)
		}
	}
	for n := range l.acked["admin"] {
		if v := admin[strconv.Itoa(n)]; v != float64(n) {
			t.Errorf("the entry %d was acknowledged and is %v", n, v)
		}
	}
	if heard, echo := l.in.dump(t, "heard"), l.in.dump(t, "echo"); len(heard) != len(a) || len(echo) != len(admin) {
		t.Errorf("%d pairs of which %d were heard, %d entries with %d events: want as many", len(a), len(heard), len(admin), len(echo))
	}
	if n := l.in.must(t, "GET", "/api/v1/admin/apps/default/dead_letters/count", nil)["unresolved"]; n != 0.0 {
		t.Errorf("%v dead letters, want none: %v", n, l.in.must(t, "GET", "/api/v1/admin/apps/default/dead_letters", nil))
	}
}

// recovers waits until a whole step succeeds again.
func (l *load) recovers(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); l.step(t) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the fault is over, and writes still fail: %v", l.seen)
		}
	}
}

// newFaulty is an instance whose data directory is made by mount; start takes settings.
func newFaulty(t *testing.T, mount func(dir string)) (in *instance, start func(env ...string)) {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	in = &instance{dir: filepath.Join(t.TempDir(), "data"), addr: "127.0.0.1:" + port}
	if err := os.Mkdir(in.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mount(in.dir)
	t.Cleanup(in.kill)
	t.Cleanup(func() {
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(in.dir), "log")); err == nil && t.Failed() {
			t.Logf("the instance's log:\n%s", b)
		}
	})
	return in, func(env ...string) {
		t.Helper()
		env = append(append(os.Environ(), "PICLOUD_OWNER_USERNAME="+ownerName, "PICLOUD_OWNER_PASSWORD="+ownerPassword), env...)
		if err := in.start(env, "serve", "--data-dir", in.dir, "--listen", in.addr); err != nil {
			t.Fatal(err)
		}
	}
}

// until repeats a request as the owner until its answer matches, for at most 30 s.
func (in *instance) until(t *testing.T, method, path, pattern string) []byte {
	t.Helper()
	re := regexp.MustCompile(pattern)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var answer []byte
	if err := retry(ctx, func() error {
		status, _, body, err := in.do(request{as: "owner", method: method, path: path, header: http.Header{}})
		if answer = body; err == nil && !re.Match(body) {
			err = fmt.Errorf("%s %s: %d %s: want a match of %s", method, path, status, body, pattern)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return answer
}

// newest is the id of the last execution in the log.
func (in *instance) newest(t *testing.T) any {
	t.Helper()
	return in.must(t, "GET", "/api/v1/admin/apps/default/executions?limit=1", nil)["items"].([]any)[0].(map[string]any)["id"]
}

// halt stops the instance in order.
func (in *instance) halt(t *testing.T) {
	t.Helper()
	if err := in.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := in.cmd.Wait(); err != nil {
		t.Errorf("orderly stop: %v", err)
	}
	in.log.Close()
	in.cmd = nil
}

// refusal is what the binary says that doesn't start, within 30 s.
func (in *instance) refusal(t *testing.T) string {
	t.Helper()
	exe, err := program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, exe, "serve", "--data-dir", in.dir, "--listen", in.addr).CombinedOutput()
	if err == nil || ctx.Err() != nil {
		t.Fatalf("it started: %s", out)
	}
	return string(out)
}
