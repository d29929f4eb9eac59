package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// long reports whether the tests below run at full length (PICLOUD_LONG=1), as scripts/test
// does with an optimised binary; otherwise they are a tenth or less of it.
func long() bool { return os.Getenv("PICLOUD_LONG") != "" }

// newInstance is a running instance with an owner that is logged in.
func newInstance(t *testing.T) *instance {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	in := &instance{dir: filepath.Join(t.TempDir(), "data"), addr: "127.0.0.1:" + port}
	t.Cleanup(in.kill)
	in.mustStart(t)
	return in
}

func (in *instance) mustStart(t *testing.T) {
	t.Helper()
	// An attempt that a kill broke counts: with many kills in a row, three would not do.
	env := append(os.Environ(), "PICLOUD_OWNER_USERNAME="+ownerName, "PICLOUD_OWNER_PASSWORD="+ownerPassword, "PICLOUD_TRIGGER_RETRY_MAX_ATTEMPTS=100", "PICLOUD_TRIGGER_RETRY_BASE_MS=10")
	if err := in.start(env, "serve", "--data-dir", in.dir, "--listen", in.addr); err != nil {
		t.Fatal(err)
	}
}

// must makes an API call as the owner and decodes its answer.
func (in *instance) must(t *testing.T, method, path string, body any) map[string]any {
	t.Helper()
	r := request{as: "owner", method: method, path: path, header: http.Header{}}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r.body = string(b)
	}
	status, _, answer, err := in.do(r)
	if err != nil || status > 299 {
		t.Fatalf("%s %s: %d %s %v", method, path, status, answer, err)
	}
	var out map[string]any
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// deploy creates a script with one route, or none when path is empty, and returns its id.
func (in *instance) deploy(t *testing.T, name, source, path, mode string) string {
	t.Helper()
	id := in.must(t, "POST", "/api/v1/admin/apps/default/scripts", map[string]any{"name": name, "source": source})["id"].(string)
	if path != "" {
		in.must(t, "POST", "/api/v1/admin/scripts/"+id+"/routes", map[string]any{"host_kind": "any", "path_kind": "exact", "path": path, "dispatch_mode": mode})
	}
	return id
}

// keepAlive is a client whose connections are reused by every worker.
func keepAlive() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 128}}
}

// Two concurrent n = get(); set(n+1) never lose an update: conflicts run again inside.
func TestCounterLosesNoUpdate(t *testing.T) {
	const clients = 64
	each := 20
	if long() {
		each = 1000
	}
	in := newInstance(t)
	in.deploy(t, "count", `export default function () { const c = kv.collection("c"); const n = c.get("n") ?? 0; c.set("n", n + 1); return n + 1; }`, "/count", "sync")
	client := keepAlive()
	var wg sync.WaitGroup
	var bad atomic.Int64
	for range clients {
		wg.Go(func() {
			for range each {
				resp, err := client.Get("http://" + in.addr + "/count")
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 && bad.Add(1) <= 3 {
					t.Errorf("answered %d %s", resp.StatusCode, body)
				}
			}
		})
	}
	wg.Wait()
	got := in.must(t, "GET", "/api/v1/admin/apps/default/kv/c/n", nil)["value"]
	if want := float64(clients * each); got != want {
		t.Errorf("the counter is %v, want %v; %d answers were not 2xx", got, want, bad.Load())
	}
}

// drain waits until the outbox is empty. How long that takes is the machine's affair, but the
// oldest row must not be the same for a minute: then it is stuck.
func (in *instance) drain(t *testing.T) {
	t.Helper()
	var oldest any
	var since time.Time
	for {
		rows := in.must(t, "GET", "/api/v1/admin/apps/default/outbox?limit=1", nil)["items"].([]any)
		if len(rows) == 0 {
			return
		}
		if id := rows[0].(map[string]any)["id"]; id != oldest {
			oldest, since = id, time.Now()
		}
		if time.Since(since) > time.Minute {
			t.Fatalf("rows are stuck: %v", rows)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

const dumpSource = `export default (ctx) => kv.collection(ctx.request.query.c).entries({ cursor: ctx.request.query.cursor, limit: 300 })`

// dump reads a whole collection through the script dumpSource, at /dump.
func (in *instance) dump(t *testing.T, collection string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for cursor := ""; ; {
		var page struct {
			Entries []struct {
				Key   string
				Value any
			}
			NextCursor string `json:"next_cursor"`
		}
		in.getJSON(t, "/dump?c="+collection+"&cursor="+url.QueryEscape(cursor), &page)
		for _, e := range page.Entries {
			all[e.Key] = e.Value
		}
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
	}
}

func (in *instance) getJSON(t *testing.T, path string, out any) {
	t.Helper()
	resp, err := http.Get("http://" + in.addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %d %v", path, resp.StatusCode, err)
	}
}
