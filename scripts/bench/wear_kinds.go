package main

import (
	"fmt"
	"time"
)

// wearKind is a kind of request whose wear is measured.
type wearKind struct {
	name    string
	path    string // {n} becomes the request's number
	body    string // a POST; "": a GET
	status  int    // 0: 200
	n       int    // requests; 0: 1,000
	slow    bool   // also measured at a low rate
	alone   bool   // not measured with many at a time
	prepare func(*wearRun) error
	run     func(*wearRun) (int, error) // instead of requests
	how     string                      // what run does
}

var wearKinds = []wearKind{
	{name: "hello", path: "/hello", slow: true},
	{name: "dashboard", path: "/admin/"},
	{name: "admin list", path: "/api/v1/admin/apps/default/scripts"},
	{name: "kv read", path: "/wear/read?n={n}"},
	{name: "kv write", path: "/wear/write?n={n}", slow: true},
	{name: "kv add", path: "/wear/add"},
	{name: "failing", path: "/wear/fail", status: 502},
	{name: "async", path: "/wear/async?n={n}", body: "{}", status: 202, slow: true},
	{name: "kv write with a trigger", path: "/wear/watched?n={n}"},
	{name: "publish to a trigger", path: "/wear/publish?n={n}"},
	{name: "queue, sent and received", path: "/wear/send?n={n}"},
	{name: "login", path: "/api/v1/admin/auth/login", body: fmt.Sprintf(`{"username":%q,"password":%q}`, user, password), n: 100, alone: true}, // many at a time are slowed down, or refused
	{name: "cron tick", prepare: (*wearRun).schedule, run: (*wearRun).ticks, how: "20 each second"},
}

// set is a handler's write, of about 100 bytes under one of 1,000 keys.
const set = `kv.collection("%s").set(String(Number(%s) %% 1000), {name: "Ada", email: "ada@example.com", tags: ["a", "b", "c"]})`

// deploy makes the scripts and triggers of the kinds.
func (w *wearRun) deploy() error {
	query, event := "ctx.request.query.n", `JSON.stringify(ctx.event).length`
	for _, s := range []struct{ name, mode, source string }{
		{"read", "sync", `kv.collection("w").get(ctx.request.query.n)`},
		{"write", "sync", fmt.Sprintf(set, "w", query)},
		{"add", "sync", `kv.collection("w").add("sum", 1)`},
		{"fail", "sync", `{ throw new Error("no") }`},
		{"async", "async", fmt.Sprintf(set, "async", query)},
		{"watched", "sync", fmt.Sprintf(set, "watched", query)},
		{"publish", "sync", `pubsub.publishDurable("news", {n: ctx.request.query.n})`},
		{"send", "sync", `queue.enqueue("jobs", {n: ctx.request.query.n})`},
	} {
		if err := w.admin.deployOne("default", "wear-"+s.name, "/wear/"+s.name, s.mode, "export default (ctx) => { "+s.source+"; return 1 }"); err != nil {
			return err
		}
	}
	handler, err := w.admin.post("/api/v1/admin/apps/default/scripts", map[string]any{"name": "handler", "source": "export default (ctx) => { " + fmt.Sprintf(set, "handled", event) + " }"})
	if err != nil {
		return err
	}
	for kind, filter := range map[string]map[string]any{
		"kv": {"collection_glob": "watched"}, "pubsub": {"topic": "news"}, "queue": {"queue": "jobs"},
	} {
		filter["script_id"] = handler["id"]
		if _, err := w.admin.post("/api/v1/admin/apps/default/triggers/"+kind, filter); err != nil {
			return err
		}
	}
	return nil
}

// schedule makes 20 triggers that tick each second.
func (w *wearRun) schedule() error {
	s, err := w.admin.post("/api/v1/admin/apps/default/scripts", map[string]any{"name": "ticked", "source": "export default () => { kv.collection('ticks').add('n', 1) }"})
	if err != nil {
		return err
	}
	for range 20 {
		if _, err := w.admin.post("/api/v1/admin/apps/default/triggers/cron", map[string]any{"script_id": s["id"], "schedule": "* * * * * *"}); err != nil {
			return err
		}
	}
	return nil
}

func (w *wearRun) ticks() (int, error) {
	before, err := w.admin.metrics()
	if err != nil {
		return 0, err
	}
	time.Sleep(20 * time.Second)
	after, err := w.admin.metrics()
	return int(after["picloud_cron_ticks_total"] - before["picloud_cron_ticks_total"]), err
}
