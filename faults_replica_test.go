package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fileSizes is how many files there are below dir, and what they hold, in bytes.
func fileSizes(t *testing.T, dir string) (files int, bytes int64) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) { // removed meanwhile
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		if info, err := d.Info(); err == nil {
			files, bytes = files+1, bytes+info.Size()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return files, bytes
}

// lines counts those of the instance's log that contain text.
func (in *instance) lines(t *testing.T, text string) (n int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(filepath.Dir(in.dir), "log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// The target of the second copy is away for a day of one write a second. The instance serves and
// says that the copy is behind; when the target is back all of it follows by itself, and a restore
// has every write. PICLOUD_LONG=1 makes all 86,400; each 30 of them are staged, as in life.
func TestReplicaTargetIsAwayForADay(t *testing.T) {
	writes := 1500
	if long() {
		writes = 86_400
	}
	s, url, stop, err := startBucket()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	in, start := replicated(t, "      url: s3://backup/pi\n      endpoint: "+url+"\n      region: us-east-1\n      access-key-id: AK\n      secret-access-key: SK\n")
	start()
	in.must(t, "PUT", "/api/v1/admin/apps/default/kv/day/before", map[string]any{"value": 0})
	in.must(t, "POST", "/api/v1/admin/backup/sync", nil)

	s.mode.Store("down")
	in.must(t, "PUT", "/api/v1/admin/apps/default/kv/day/0", map[string]any{"value": 0})
	in.until(t, "GET", "/api/v1/admin/system", `"warnings":\["the second copy fails: `)
	s.mode.Store("denied") // it refuses at once, so that a day is short
	_, before := fileSizes(t, in.dir)
	for n := 0; n < writes; n += 30 {
		in.writeDay(t, n)
		if status, _, body, err := in.do(request{as: "owner", method: "POST", path: "/api/v1/admin/backup/sync", header: http.Header{}}); err != nil || status != 503 {
			t.Fatalf("the target is away, and a copy to it is answered %d %s %v", status, body, err)
		}
		if n%300 == 0 {
			in.until(t, "GET", "/hello", "")
			in.until(t, "GET", "/readyz", `"ready"`) // it does its work
		}
	}
	system := in.must(t, "GET", "/api/v1/admin/system", nil)
	state := system["replication"].(map[string]any)
	if state["state"] != "failing" || state["lag_seconds"] == 0.0 || state["staged_files"].(float64) < float64(writes/30) {
		t.Errorf("it says of its copy %v", state)
	}
	_, after := fileSizes(t, in.dir)
	wal, _ := os.Stat(filepath.Join(in.dir, "picloud.db-wal"))
	t.Logf("%d writes: %v staged files of %v bytes, a WAL of %d bytes, the data directory grew by %d bytes: %d each", writes, state["staged_files"], state["staged_bytes"], wal.Size(), after-before, (after-before)/int64(writes))
	if n := in.lines(t, "replication fails"); n < 1 || n > 4 {
		t.Errorf("the log says %d times that replication fails", n)
	}
	if n := in.lines(t, ""); n > 40 {
		t.Errorf("%d lines of log in a day without a target", n)
	}

	s.mode.Store("ok")
	returned := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	if err := retry(ctx, func() error {
		r := in.must(t, "GET", "/api/v1/admin/system", nil)["replication"].(map[string]any)
		if r["state"] != "ok" || r["lag_seconds"] != 0.0 {
			return fmt.Errorf("the target is back, and the copy is %v", r)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, caught := fileSizes(t, in.dir)
	t.Logf("caught up after %v; the data directory is %d bytes larger than before", time.Since(returned).Round(time.Millisecond), caught-before)
	in.kill()
	if err := os.RemoveAll(in.dir); err != nil {
		t.Fatal(err)
	}
	start()
	in.holdsDay(t, writes)
}

// writeDay makes the 30 writes from first on: one after the other at full length, as a commit each is
// what a day of them costs, else all at once.
func (in *instance) writeDay(t *testing.T, first int) {
	t.Helper()
	var writers sync.WaitGroup
	for n := range 30 {
		n += first
		writers.Go(func() {
			r := request{as: "owner", method: "PUT", path: fmt.Sprintf("/api/v1/admin/apps/default/kv/day/%08d", n), body: fmt.Sprintf(`{"value":%d}`, n), header: http.Header{}}
			if status, _, body, err := in.do(r); err != nil || status != 200 {
				t.Errorf("write %d: %d %s %v", n, status, body, err)
			}
		})
		if long() {
			writers.Wait()
		}
	}
	writers.Wait()
}

// holdsDay checks that every write of the day is there.
func (in *instance) holdsDay(t *testing.T, writes int) {
	t.Helper()
	in.cookies = nil
	next := 0
	for path := "/api/v1/admin/apps/default/kv/day?limit=200&prefix=000"; path != ""; {
		page := in.must(t, "GET", path, nil)
		for _, item := range page["items"].([]any) {
			if key := item.(map[string]any)["key"]; key != fmt.Sprintf("%08d", next) {
				t.Fatalf("write %d is missing after the restore: %v follows", next, key)
			}
			next++
		}
		path = ""
		if cursor, _ := page["next_cursor"].(string); cursor != "" {
			path = "/api/v1/admin/apps/default/kv/day?limit=200&prefix=000&cursor=" + cursor
		}
	}
	if next != writes {
		t.Errorf("%d writes after the restore, want %d", next, writes)
	}
}
