package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// receiver is another machine, which stays up: it knows the idempotency keys that it saw for
// each request.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex // guards keys
	keys map[string]map[string]int
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{keys: map[string]map[string]int{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var in struct{ ID string }
		if err := json.NewDecoder(req.Body).Decode(&in); err != nil {
			t.Errorf("received what is no JSON: %v", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.keys[in.ID] == nil {
			r.keys[in.ID] = map[string]int{}
		}
		r.keys[in.ID][req.Header.Get("Idempotency-Key")]++
	}))
	t.Cleanup(r.Close)
	return r
}

// Kill -9 at random moments while executions count and store requests for another machine:
// that machine sees each accepted request at least once, always under one idempotency key,
// and what the executions did inside happened exactly once.
func TestKillSendsStoredRequests(t *testing.T) {
	const clients = 4
	kills := 4
	if long() {
		kills = 40
	}
	in, to := newInstance(t), newReceiver(t)
	in.must(t, "PUT", "/api/v1/admin/apps/default/outbound", map[string]any{"allow": []string{"127.0.0.1"}})
	in.deploy(t, "send", `export default function (ctx) {
		const id = ctx.request.body.id;
		kv.collection("events").increment(id);
		http.later({ method: "POST", url: "`+to.URL+`/", json: { id } });
	}`, "/send", "sync")
	var (
		accepted sync.Map
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
				case <-time.After(5 * time.Millisecond): // the host takes one at a time
				}
				id := "e" + strconv.FormatInt(next.Add(1), 10)
				resp, err := client.Post("http://"+in.addr+"/send", "application/json", bytes.NewReader(fmt.Appendf(nil, `{"id":%q}`, id)))
				if err != nil {
					continue // the instance is down: whether that one was stored isn't known
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode == 204 {
					accepted.Store(id, true)
				}
			}
		})
	}
	for range kills {
		time.Sleep(time.Duration(100+rand.IntN(300)) * time.Millisecond) // the random moment
		in.kill()
		in.mustStart(t)
	}
	close(stop)
	wg.Wait()
	in.drain(t)
	in.checkSent(t, to, &accepted)
	if n := in.must(t, "GET", "/api/v1/admin/apps/default/dead_letters/count", nil)["unresolved"]; n != 0.0 {
		t.Errorf("%v dead letters, want none", n)
	}
}

// checkSent compares what was accepted, what was counted, and what arrived.
func (in *instance) checkSent(t *testing.T, to *receiver, accepted *sync.Map) {
	t.Helper()
	in.deploy(t, "dump", `export default (ctx) => kv.collection(ctx.request.query.c).entries({ cursor: ctx.request.query.cursor, limit: 1000 })`, "/dump", "sync")
	counts := in.dump(t, "events")
	to.mu.Lock()
	defer to.mu.Unlock()
	total, deliveries := 0, 0
	accepted.Range(func(id, _ any) bool {
		total++
		if counts[id.(string)] != 1.0 {
			t.Errorf("%s was accepted, but counted %v times", id, counts[id.(string)])
		}
		return true
	})
	for id, n := range counts {
		if n != 1.0 || len(to.keys[id]) != 1 {
			t.Errorf("%s was counted %v times and arrived under the keys %v, want one", id, n, to.keys[id])
		}
	}
	for id, keys := range to.keys {
		if counts[id] == nil {
			t.Errorf("%s arrived, but its execution left nothing", id)
		}
		for _, n := range keys {
			deliveries += n
		}
	}
	if total == 0 {
		t.Error("nothing was accepted")
	}
	t.Logf("%d accepted, %d counted, %d deliveries", total, len(counts), deliveries)
}
