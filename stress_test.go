package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
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

// Kill -9 at random moments while clients make async writes: after restarts every accepted
// event was applied exactly once, none is missing, no row is stuck, nothing needs repair.
func TestKillAppliesAcceptedEventsOnce(t *testing.T) {
	const clients = 8
	kills := 5
	if long() {
		kills = 200
	}
	in := newInstance(t)
	in.deploy(t, "accept", `export default function (ctx) { kv.collection("events").increment(ctx.request.body.id); pubsub.publishDurable("events", ctx.request.body.id); }`, "/event", "async")
	// Each counter's change causes one more event, whose effect must happen once too.
	echo := in.deploy(t, "echo", `export default function (ctx) { kv.collection("echoes").increment(ctx.event.kv.key); }`, "", "")
	in.must(t, "POST", "/api/v1/admin/apps/default/triggers/kv", map[string]any{"script_id": echo, "collection_glob": "events"})
	// So must that of each message.
	hear := in.deploy(t, "hear", `export default function (ctx) { kv.collection("heard").increment(ctx.event.pubsub.message); }`, "", "")
	in.must(t, "POST", "/api/v1/admin/apps/default/triggers/pubsub", map[string]any{"script_id": hear, "topic": "ev*"})

	var (
		accepted sync.Map // id of every event that was answered 202
		stop     = make(chan struct{})
		next     atomic.Int64
		wg       sync.WaitGroup
	)
	client := keepAlive()
	for range clients {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				id := "e" + strconv.FormatInt(next.Add(1), 10)
				resp, err := client.Post("http://"+in.addr+"/event", "application/json", bytes.NewReader(fmt.Appendf(nil, `{"id":%q}`, id)))
				if err != nil {
					time.Sleep(5 * time.Millisecond) // the instance is down: try again with another id
					continue
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode == 202 {
					accepted.Store(id, true)
				}
			}
		})
	}
	for range kills {
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // the random moment
		in.kill()
		in.mustStart(t)
	}
	close(stop)
	wg.Wait()
	in.drain(t)
	in.checkOnce(t, &accepted, "events", "echoes", "heard")
	if n := in.must(t, "GET", "/api/v1/admin/apps/default/dead_letters/count", nil)["unresolved"]; n != 0.0 {
		t.Errorf("%v dead letters, want none", n)
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

// checkOnce compares the counters of some collections with what was accepted. An event whose answer was lost in
// a kill may or may not be there, but never twice.
func (in *instance) checkOnce(t *testing.T, accepted *sync.Map, collections ...string) {
	t.Helper()
	in.deploy(t, "dump", dumpSource, "/dump", "sync")
	for _, collection := range collections {
		counts := in.dump(t, collection)
		for id, n := range counts {
			if n != 1.0 {
				t.Errorf("%s: %s was applied %v times", collection, id, n)
			}
		}
		missing, total := 0, 0
		accepted.Range(func(id, _ any) bool {
			total++
			if _, ok := counts[id.(string)]; !ok {
				missing++
			}
			return true
		})
		if missing > 0 || total == 0 {
			t.Errorf("%s: %d of %d accepted events are missing", collection, missing, total)
		}
		t.Logf("%s: %d accepted, %d applied", collection, total, len(counts))
	}
}

const dumpSource = `export default (ctx) => kv.collection(ctx.request.query.c).entries({ cursor: ctx.request.query.cursor, limit: 1000 })`

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

// Kill -9 at random moments while messages are sent and received in batches: every accepted
// message is applied exactly once, those of one key in the order in which they were sent.
func TestKillAppliesMessagesOnce(t *testing.T) {
	const clients = 6
	kills := 5
	if long() {
		kills = 40
	}
	in := newInstance(t)
	receive := in.deploy(t, "receive", `export default function (ctx) {
		const events = kv.collection("events"), last = kv.collection("last");
		for (const m of ctx.event.queue.messages) {
			events.increment(m.body.id);
			if (!m.key) continue;
			if ((last.get(m.key) ?? 0) >= m.body.n) kv.collection("disorder").add(m.key);
			last.set(m.key, m.body.n);
			queue.enqueue("echoes", m.body.id, { dedupId: m.body.id });
		}
	}`, "", "")
	echo := in.deploy(t, "echo", `export default function (ctx) { kv.collection("echoes").increment(ctx.event.queue.messages[0].body); }`, "", "")
	in.must(t, "POST", "/api/v1/admin/apps/default/triggers/queue", map[string]any{"script_id": receive, "queue": "events", "batch_size": 5})
	in.must(t, "POST", "/api/v1/admin/apps/default/triggers/queue", map[string]any{"script_id": echo, "queue": "echoes"})

	var (
		accepted sync.Map
		stop     = make(chan struct{})
		wg       sync.WaitGroup
	)
	for c := range clients {
		wg.Go(func() {
			key := "k" + strconv.Itoa(c)
			for n := 1; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := key + "-" + strconv.Itoa(n)
				body := fmt.Sprintf(`{"message":{"id":%q,"n":%d},"key":%q}`, id, n, key)
				status, _, _, err := in.do(request{as: "owner", method: "POST", path: "/api/v1/admin/apps/default/queues/events/messages", header: http.Header{}, body: body})
				if err != nil {
					time.Sleep(5 * time.Millisecond) // the instance is down: go on with another message
				} else if status == 201 {
					accepted.Store(id, true)
				}
			}
		})
	}
	for range kills {
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // the random moment
		in.kill()
		in.mustStart(t)
	}
	close(stop)
	wg.Wait()
	in.drain(t)
	in.checkOnce(t, &accepted, "events", "echoes")
	if n := in.must(t, "GET", "/api/v1/admin/apps/default/dead_letters/count", nil)["unresolved"]; n != 0.0 {
		t.Errorf("%v dead letters, want none", n)
	}
	if disorder := in.dump(t, "disorder"); len(disorder) > 0 {
		t.Errorf("messages of one key came out of order: %v", disorder)
	}
}
