package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// workers are the ids of the instance's worker processes.
func (in *instance) workers(t *testing.T) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		t.Skip("no /proc")
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // gone
		}
		pid, rest, _ := strings.Cut(string(b), " ")
		_, rest, _ = strings.Cut(rest, ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[0] != "Z" && f[1] == strconv.Itoa(in.cmd.Process.Pid) {
			n, _ := strconv.Atoi(pid)
			pids = append(pids, n)
		}
	}
	return pids
}

// gone waits until none of the processes is there.
func gone(t *testing.T, pids []int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left := 0
		for _, pid := range pids {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z ") {
				left++
			}
		}
		if left == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d workers outlived the instance", left, len(pids))
		}
	}
}

// Two apps count over HTTP while worker processes are killed at random: every 2xx has happened,
// nothing else has, and callers hear of it. PICLOUD_LONG makes it 5,000 requests a client.
// Then no worker outlives the instance, whether it is killed or stopped.
func TestKilledWorkersLoseNothing(t *testing.T) {
	t.Setenv("PICLOUD_ISOLATION", "process")
	each := 25
	if long() {
		each = 5000
	}
	in := newInstance(t)
	in.must(t, "POST", "/api/v1/admin/apps", map[string]any{"slug": "second", "name": "Second"})
	const source = `export default function () { const c = kv.collection("c"); const n = c.get("n") ?? 0; c.set("n", n + 1); let x = 0; for (let i = 0; i < 20000; i++) x += i; return n + 1; }`
	apps := []string{"default", "second"}
	for _, app := range apps {
		s := in.must(t, "POST", "/api/v1/admin/apps/"+app+"/scripts", map[string]any{"name": "count", "source": source})
		in.must(t, "POST", "/api/v1/admin/scripts/"+s["id"].(string)+"/routes", map[string]any{"host_kind": "any", "path_kind": "exact", "path": "/count-" + app, "dispatch_mode": "sync"})
	}
	var ok [2]atomic.Int64
	var refused, kills, served atomic.Int64
	var callers, killer sync.WaitGroup
	over := make(chan struct{})
	killer.Go(func() {
		for last := int64(0); ; {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(rand.IntN(50)) * time.Millisecond):
			}
			if served.Load() == last {
				continue
			}
			last = served.Load()
			if pids := in.workers(t); len(pids) > 0 && syscall.Kill(pids[rand.IntN(len(pids))], syscall.SIGKILL) == nil {
				kills.Add(1)
			}
		}
	})
	for i := range 8 {
		callers.Go(func() {
			client := keepAlive()
			for range each {
				resp, err := client.Get("http://" + in.addr + "/count-" + apps[i%2])
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				switch resp.StatusCode {
				case http.StatusOK:
					ok[i%2].Add(1)
				case http.StatusServiceUnavailable:
					refused.Add(1)
				default:
					t.Errorf("answered %d %s", resp.StatusCode, body)
				}
				served.Add(1)
			}
		})
	}
	callers.Wait()
	close(over)
	killer.Wait()
	for i, app := range apps {
		got := in.must(t, "GET", "/api/v1/admin/apps/"+app+"/kv/c/n", nil)["value"]
		if want := float64(ok[i].Load()); got != want {
			t.Errorf("%s: the counter is %v, want %v", app, got, want)
		}
	}
	t.Logf("%d + %d answered, %d refused, %d workers killed", ok[0].Load(), ok[1].Load(), refused.Load(), kills.Load())
	if kills.Load() == 0 {
		t.Error("no worker was killed: that shows nothing")
	}

	call := func() []int {
		if resp, err := http.Get("http://" + in.addr + "/count-default"); err != nil || resp.StatusCode != 200 {
			t.Fatalf("got %v, %v", resp, err)
		}
		pids := in.workers(t)
		if len(pids) == 0 {
			t.Fatal("there is no worker")
		}
		return pids
	}
	pids := call()
	in.kill()
	gone(t, pids)
	in.mustStart(t)
	pids = call()
	in.halt(t)
	gone(t, pids)
}
