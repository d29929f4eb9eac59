package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"picloud/scripts/bench/load"
)

// backlogBench measures what one app's backlog costs everybody else: the latency of sync
// requests, and how long another app's single event waits to be run.
func backlogBench(args []string) error {
	f := flag.NewFlagSet("backlog", flag.ExitOnError)
	bin := f.String("picloud", "", "picloud binary")
	rows := f.Int("rows", 100_000, "due rows of the first app")
	conns := f.Int("conns", 8, "connections of the sync load")
	d := f.Duration("d", 5*time.Second, "duration of each measurement")
	work := f.Int("work", 1, "milliseconds of processor time that a handler of the backlog takes")
	f.Parse(args)
	if err := os.Setenv("PICLOUD_TRIGGER_RETRY_BASE_MS", "1"); err != nil {
		return err
	}
	p, err := startPicloud(*bin, "relaxed")
	if err != nil {
		return err
	}
	defer p.stop()
	c := &client{base: "http://" + p.addr}
	if err := c.deployBacklog(*work); err != nil {
		return err
	}
	fmt.Println("| | hello/s | failures | hello p50 | hello p99 | other app's event, median | worst |\n|---|---|---|---|---|---|---|")
	if err := p.report(c, "at rest", *conns, *d); err != nil {
		return err
	}
	post := load.Request("POST", p.addr, "/slow", "application/json", []byte("{}"))
	accepted := 0
	for accepted < *rows {
		r, err := load.Run(p.addr, post, 64, 2*time.Second)
		if err != nil {
			return err
		}
		accepted += r.Requests - r.Failures
	}
	return p.report(c, fmt.Sprintf("with %d rows accepted for another app", accepted), *conns, *d)
}

// deployBacklog makes a slow async route in one app, and in another an async route whose
// effect a sync route shows.
func (c *client) deployBacklog(work int) error {
	if _, err := c.post("/api/v1/admin/auth/login", map[string]any{"username": user, "password": password}); err != nil {
		return err
	}
	if _, err := c.post("/api/v1/admin/apps", map[string]any{"slug": "other", "name": "Other"}); err != nil {
		return err
	}
	for _, s := range []struct{ app, path, mode, source string }{
		{"default", "/slow", "async", fmt.Sprintf(`export default function () { const end = time.nowMs() + %d; while (time.nowMs() < end); }`, work)},
		{"other", "/event", "async", `export default function (ctx) { kv.collection("c").set(ctx.request.query.id, time.nowMs()); }`},
		{"other", "/seen", "sync", `export default function (ctx) { return kv.collection("c").get(ctx.request.query.id) ?? null; }`},
	} {
		script, err := c.post("/api/v1/admin/apps/"+s.app+"/scripts", map[string]any{"name": strings.TrimPrefix(s.path, "/"), "source": s.source})
		if err != nil {
			return err
		}
		if _, err := c.post("/api/v1/admin/scripts/"+script["id"].(string)+"/routes", map[string]any{"host_kind": "any", "path_kind": "exact", "path": s.path, "dispatch_mode": s.mode}); err != nil {
			return err
		}
	}
	return nil
}

func (p *peer) report(c *client, what string, conns int, d time.Duration) error {
	r, err := load.Run(p.addr, p.requests["hello"], conns, d)
	if err != nil {
		return err
	}
	var waits []time.Duration
	for i := range 20 {
		w, err := c.event(fmt.Sprint(strings.ReplaceAll(what, " ", "-"), i))
		if err != nil {
			return err
		}
		waits = append(waits, w)
	}
	slices.Sort(waits)
	fmt.Printf("| %s | %.0f | %d | %v | %v | %v | %v |\n", what, r.PerSecond(), r.Failures, r.Percentile(.5).Round(time.Microsecond), r.Percentile(.99).Round(time.Microsecond), waits[len(waits)/2], waits[len(waits)-1])
	return nil
}

// event fires one event of the other app and returns how long after its 202 its handler ran,
// by the server's clock, which is this machine's.
func (c *client) event(id string) (time.Duration, error) {
	resp, err := http.Post(c.base+"/~other/event?id="+id, "application/json", strings.NewReader("{}"))
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	sent := time.Now()
	for time.Since(sent) < 30*time.Second {
		resp, err := http.Get(c.base + "/~other/seen?id=" + id)
		if err != nil {
			return 0, err
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		var ms int64
		if n, _ := fmt.Sscan(string(body), &ms); n == 1 {
			return max(0, time.UnixMilli(ms).Sub(sent).Round(time.Millisecond)), nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return 0, fmt.Errorf("the event %s was not run", id)
}
