//go:build linux && amd64

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const years10 = 10 * 365 * 24 * time.Hour

// atClock is an instance with a clock of its own.
func atClock(t *testing.T) (in *instance, start func(ahead time.Duration), set func(ahead time.Duration)) {
	t.Helper()
	var clock wallClock
	in, begin := newFaulty(t, func(string) {})
	start = func(ahead time.Duration) {
		t.Helper()
		in.launch = clock.launcher(ahead)
		in.cookies = nil
		begin("PICLOUD_CLOCK_WAIT=3s")
	}
	set = func(ahead time.Duration) {
		t.Helper()
		if err := clock.set(ahead); err != nil {
			t.Fatal(err)
		}
	}
	return in, start, set
}

// every makes a schedule that counts each second.
func (in *instance) every(t *testing.T, catchUp string) {
	t.Helper()
	id := in.deploy(t, "count", `export default function (ctx) { const at = ctx.event.cron.scheduled_at; kv.collection("ticks").increment("n"); kv.collection("at").increment(at); }`, "", "")
	in.must(t, "POST", "/api/v1/admin/apps/default/triggers/cron", map[string]any{"script_id": id, "schedule": "@every 1s", "catch_up": catchUp})
}

// ticks is how often it counted.
func (in *instance) ticks(t *testing.T) float64 {
	t.Helper()
	status, _, body, err := in.do(request{as: "owner", method: "GET", path: "/api/v1/admin/apps/default/kv/ticks/n", header: http.Header{}})
	var v struct{ Value float64 }
	if err != nil || status != 200 && status != 404 || status == 200 && json.Unmarshal(body, &v) != nil {
		t.Fatalf("%d %s %v", status, body, err)
	}
	return v.Value
}

// ticksOn waits until a schedule has fired twice more.
func (in *instance) ticksOn(t *testing.T) {
	t.Helper()
	from := in.ticks(t)
	for end := time.Now().Add(60 * time.Second); in.ticks(t) < from+2; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the schedule doesn't fire: %s", in.until(t, "GET", "/api/v1/admin/system", ""))
		}
	}
}

// The wall clock jumps by ten years, ahead and back, while the instance works. Nothing waits for
// a time that was a mistake, nothing happens ten years' worth of times, effects happen once.
func TestClockJumps(t *testing.T) {
	const mostCaughtUp = 1000 // ticks, at once
	in, start, set := atClock(t)
	start(0)
	l := newLoad(t, in)
	jumps, catchUp := []time.Duration{years10, 0}, "last"
	if long() {
		jumps, catchUp = []time.Duration{years10, 0, -years10, 0, -years10, years10, 0}, "all"
	}
	in.every(t, catchUp)
	in.deploy(t, "broken", `export default function () { throw new Error("always"); }`, "/broken", "async")
	later := func(body string) {
		in.must(t, "POST", "/api/v1/admin/apps/default/queues/q/messages", json.RawMessage(body))
	}
	if l.step(t) > 0 {
		t.Fatalf("at the start: %v", l.seen)
	}
	in.must(t, "PUT", "/api/v1/admin/apps/default/kv/kept/x", map[string]any{"value": 1, "ttl_seconds": 3600})
	for _, ahead := range jumps {
		in.ticksOnUnlessHeld(t)
		before, from := in.ticks(t), time.Now()
		// A message that is due in two seconds waits over the jump.
		l.n++
		later(fmt.Sprintf(`{"message":%d,"delay_seconds":2}`, l.n))
		l.acked["queue"][l.n] = true
		set(ahead)
		if ahead == years10 {
			if status, _, body, _ := in.do(request{as: "owner", method: "GET", path: "/api/v1/admin/apps", header: http.Header{}}); status != 401 {
				t.Errorf("ten years later, a session of a week is answered %d %s, want 401", status, body)
			}
		}
		in.cookies = nil
		in.look(t)
		for range 3 {
			if l.step(t) > 0 {
				t.Fatalf("with the clock ahead by %v, something is refused: %v", ahead, l.seen)
			}
		}
		in.drain(t)
		if got, most := in.ticks(t)-before, mostCaughtUp+2*time.Since(from).Seconds()+5; got > most {
			t.Errorf("with the clock ahead by %v, a schedule of each second fired %v times", ahead, got)
		}
	}
	in.ticksOn(t)
	in.must(t, "GET", "/api/v1/admin/apps/default/kv/kept/x", nil)
	l.check(t)
	for at, n := range in.dump(t, "at") {
		if n != 1.0 {
			t.Errorf("the tick of %s ran %v times", at, n)
		}
	}
}

// look makes the schedules look at the clock, which they do every 30 s.
func (in *instance) look(t *testing.T) {
	t.Helper()
	id := in.deploy(t, fmt.Sprintf("look%d", time.Now().UnixNano()), `export default () => {}`, "", "")
	in.must(t, "POST", "/api/v1/admin/apps/default/triggers/kv", map[string]any{"script_id": id, "collection_glob": "looks"})
}

// ticksOnUnlessHeld is ticksOn where the clock can be true.
func (in *instance) ticksOnUnlessHeld(t *testing.T) {
	t.Helper()
	if !strings.Contains(string(in.until(t, "GET", "/api/v1/admin/system", "")), "schedules hold") {
		in.ticksOn(t)
	}
}

// A Pi without a battery starts in 1970 and hears of the true time later. What it did until
// then is kept as long as if it were done now.
func TestClockStartsIn1970(t *testing.T) {
	in, start, set := atClock(t)
	start(-time.Duration(time.Now().Unix()) * time.Second)
	l := newLoad(t, in)
	in.every(t, "none")
	in.until(t, "GET", "/api/v1/admin/system", "the clock is in the past: schedules hold until it is set")
	id := in.deploy(t, "broken", `export default function () { throw new Error("always"); }`, "", "")
	in.must(t, "POST", "/api/v1/admin/apps/default/triggers/kv", map[string]any{"script_id": id, "collection_glob": "breaks", "retry_max_attempts": 1})
	in.must(t, "PUT", "/api/v1/admin/apps/default/kv/breaks/x", map[string]any{"value": 1})
	in.until(t, "GET", "/api/v1/admin/apps/default/dead_letters/count", `"unresolved":1`)
	if l.step(t) > 0 {
		t.Fatalf("in 1970, something is refused: %v", l.seen)
	}
	in.drain(t)
	first := in.newest(t)
	if n := in.ticks(t); n != 0 {
		t.Errorf("in 1970, the schedule fired %v times", n)
	}

	set(0)
	in.cookies = nil
	in.look(t)
	in.ticksOn(t)
	if l.step(t) > 0 {
		t.Fatalf("at the true time, something is refused: %v", l.seen)
	}
	in.drain(t)
	in.halt(t)
	start(0) // which sweeps
	in.ticksOn(t)
	in.must(t, "GET", fmt.Sprintf("/api/v1/admin/executions/%v", first), nil)
	letters := in.must(t, "GET", "/api/v1/admin/apps/default/dead_letters", nil)["dead_letters"].([]any)
	if len(letters) != 1 {
		t.Fatalf("dead letters of 1970: got %v, want the one", letters)
	}
	in.must(t, "POST", fmt.Sprintf("/api/v1/admin/apps/default/dead_letters/%v/resolve", letters[0].(map[string]any)["id"]), map[string]any{"reason": "seen"})
	l.check(t)
}
