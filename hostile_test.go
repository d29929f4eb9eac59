package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// statusOf is what a caller gets for each end of a hostile script.
var statusOf = map[string]int{"ok": 200, "script_error": 502, "budget_exceeded": 507, "memory": 507, "timeout": 504, "internal": 500}

// TestHostileTenants runs hostile scripts from two apps at once, with more callers than there
// are permits. Every one of them ends as it may; meanwhile a third app answers all of its
// callers, with what it had stored. How fast, scripts/bench hostile measures. PICLOUD_LONG=1
// runs all of the scripts, otherwise some.
func TestHostileTenants(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("app/executor/testdata/hostile.json")
	if err != nil {
		t.Fatal(err)
	}
	var suite []struct{ Name, Want, Body string }
	if err := json.Unmarshal(b, &suite); err != nil {
		t.Fatal(err)
	}
	in := newInstance(t)
	in.deploy(t, "counter", `export default () => { const c = kv.collection("c"); const n = (c.get("n") ?? 0) + 1; c.set("n", n); return n }`, "/count", "sync")
	type target struct{ path, name, want string }
	var targets []target
	for _, app := range []string{"evil-one", "evil-two"} {
		in.must(t, "POST", "/api/v1/admin/apps", map[string]any{"slug": app, "name": app})
		for i, s := range suite {
			if !long() && i%9 != 0 {
				continue
			}
			path := fmt.Sprintf("/%s/%d", app, i)
			id := in.must(t, "POST", "/api/v1/admin/apps/"+app+"/scripts", map[string]any{
				"name": fmt.Sprint("h", i), "source": "export default function (ctx) { " + s.Body + " }", "timeout_seconds": 1, "limits": map[string]any{"operations": 100_000_000},
			})["id"].(string)
			in.must(t, "POST", "/api/v1/admin/scripts/"+id+"/routes", map[string]any{"host_kind": "any", "path_kind": "exact", "path": path, "dispatch_mode": "sync"})
			targets = append(targets, target{path, s.Name, s.Want})
		}
	}
	var next, counted atomic.Int64
	var evil, good sync.WaitGroup
	over := make(chan struct{})
	for range 12 {
		evil.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(targets); i = next.Add(1) - 1 {
				s := targets[i]
				status, body, err := fetch(t, "http://"+in.addr+s.path)
				for err == nil && status == 503 { // its app has its share of the permits
					status, body, err = fetch(t, "http://"+in.addr+s.path)
				}
				if err != nil || !mayEnd(s.want, status) || strings.Contains(body, "escaped") {
					t.Errorf("%s: got %d %.100s (%v), want %s", s.name, status, body, err, s.want)
				}
			}
		})
	}
	for range 2 {
		good.Go(func() {
			for {
				status, body, err := fetch(t, "http://"+in.addr+"/count")
				if err != nil || status != 200 {
					t.Errorf("the third app: got %d %s (%v)", status, body, err)
					return
				}
				counted.Add(1)
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	evil.Wait()
	close(over)
	good.Wait()
	if _, body, _ := fetch(t, "http://"+in.addr+"/count"); body != fmt.Sprint(counted.Load()+1) {
		t.Errorf("the third app counted to %s, want %d", body, counted.Load()+1)
	}
}

// mayEnd reports whether a hostile script that may end as want says may be answered by status.
func mayEnd(want string, status int) bool {
	may := []int{504} // on a busy machine the clock ends what a budget would
	for kind := range strings.FieldsSeq(want) {
		may = append(may, statusOf[kind])
		if kind == "ok" || kind == "script_error" {
			may = append(may, 422, 404) // what it answered is not valid, or a status of its own
		}
	}
	return slices.Contains(may, status)
}

func fetch(t *testing.T, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
