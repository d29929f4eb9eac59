package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"picloud/scripts/bench/load"
)

// loadKeys is how many keys the load's writes go round in, so that the file doesn't grow.
const loadKeys = 10_000

// loadScripts are the functions that the open-loop load calls, by path. Async ones answer 202
// and run afterwards.
var loadScripts = []struct{ path, mode, source string }{
	{"/load/hello", "sync", `export default (ctx) => ({message: "Hello, " + (ctx.request.query.name || "world") + "!"})`},
	{"/load/read", "sync", `export default (ctx) => ({v: kv.collection("load").get(String(Number(ctx.request.query.n) % ` + strconv.Itoa(loadKeys) + `)) ?? null})`},
	{"/load/write", "sync", `export default (ctx) => { const n = Number(ctx.request.query.n);
		kv.collection("load").set(String(n % ` + strconv.Itoa(loadKeys) + `), {n, name: ctx.request.body.name, tags: ["a", "b"]}); return {n}; }`},
	{"/load/async", "async", `export default (ctx) => { const n = Number(ctx.request.query.n);
		kv.collection("events").set(String(n % ` + strconv.Itoa(loadKeys) + `), {n, name: ctx.request.body.name}); }`},
}

// deployLoad makes the functions of the load in an app, which it can be called in by /~app.
func (c *client) deployLoad(app string) error {
	for _, s := range loadScripts {
		if err := c.deployOne(app, strings.TrimPrefix(s.path, "/load/"), s.path, s.mode, s.source); err != nil {
			return err
		}
	}
	return nil
}

// deployOne makes one script with one route.
func (c *client) deployOne(app, name, path, mode, source string) error {
	s, err := c.post("/api/v1/admin/apps/"+app+"/scripts", map[string]any{"name": "load-" + name, "source": source})
	if err != nil {
		return err
	}
	_, err = c.post("/api/v1/admin/scripts/"+s["id"].(string)+"/routes", map[string]any{"host_kind": "any", "path_kind": "exact", "path": path, "dispatch_mode": mode})
	return err
}

// loadKind is a kind of request for one of the load's functions; prefix is "" or "/~app".
func loadKind(addr, prefix, name string, share int) load.Kind {
	path := prefix + "/load/" + name
	switch name {
	case "hello":
		return load.Kind{Name: name, Share: share, Request: load.Request("GET", addr, path+"?name=bench", "", nil)}
	case "read":
		return load.Kind{Name: name, Share: share, Request: load.Request("GET", addr, path+"?n="+load.Number, "", nil)}
	}
	return load.Kind{Name: name, Share: share, Request: load.Request("POST", addr, path+"?n="+load.Number, "application/json", []byte(`{"name":"bench"}`))}
}

// fillLoad stores the keys that reads ask for.
func (p *peer) fillLoad(prefix string) error {
	o := load.Open{Addr: p.addr, Kinds: []load.Kind{loadKind(p.addr, prefix, "write", 1)}, Rate: 2000, Duration: loadKeys / 2000 * time.Second}
	r, err := o.Run()
	if err == nil && r.Failures > 0 {
		err = fmt.Errorf("store the load's keys: %w", r.First)
	}
	return err
}

// metrics reads what the instance counts: the sums over all labels.
func (c *client) metrics() (map[string]float64, error) {
	resp, err := http.Get(c.base + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return nil, err
	}
	sums := map[string]float64{}
	for name, f := range families {
		for _, m := range f.Metric {
			sums[name] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
			for _, l := range m.Label {
				sums[name+"/"+l.GetValue()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sums, nil
}

// rows is how much work waits in the outbox or runs.
func (c *client) rows() (int, error) {
	m, err := c.metrics()
	return int(m["picloud_outbox_rows"]), err
}

// idle waits until the outbox is empty, and says how long that took.
func (c *client) idle(most time.Duration) (time.Duration, error) {
	start := time.Now()
	for {
		n, err := c.rows()
		if err != nil || n == 0 {
			return time.Since(start), err
		}
		if time.Since(start) > most {
			return 0, fmt.Errorf("%d rows are still in the outbox after %v", n, most)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// finishes are the latencies of async executions, at most the n latest of the default app:
// from the moment at which their request was due to the end of their handler's commit, to the
// millisecond in which the log keeps times.
func (c *client) finishes(r *load.OpenResult, rate float64, n int) (*load.Histogram, error) {
	var h load.Histogram
	cursor := ""
	for h.Count() < n {
		var page struct {
			Items []struct {
				FinishedAt time.Time `json:"finished_at"`
				Request    struct {
					Path  string            `json:"path"`
					Query map[string]string `json:"query"`
				} `json:"request"`
			} `json:"items"`
			Next *string `json:"next_cursor"`
		}
		if err := c.get("/api/v1/admin/apps/default/executions?limit=200&cursor="+cursor, &page); err != nil {
			return nil, err
		}
		for _, x := range page.Items {
			number, err := strconv.Atoi(x.Request.Query["n"])
			due := r.Start.Add(time.Duration(float64(number) / rate * float64(time.Second)))
			if err != nil || x.Request.Path != "/load/async" || x.FinishedAt.Before(due.Add(-time.Millisecond)) {
				continue
			}
			h.Record(x.FinishedAt.Sub(due))
		}
		if page.Next == nil {
			break
		}
		cursor = *page.Next
	}
	return &h, nil
}

func (c *client) get(path string, into any) error {
	req, err := http.NewRequest("GET", c.base+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Cookie", c.cookie)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		b, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("GET %s: %d %s", path, resp.StatusCode, b)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
