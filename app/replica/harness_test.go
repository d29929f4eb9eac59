package replica

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// device is a database with its replicator, as a process has them.
type device struct {
	t    testing.TB
	dir  string
	yml  string
	db   *sql.DB
	r    *Replicator
	stop func()

	impatient time.Duration // a limit for calls other than 30 s
}

// newDevice makes a device in a directory of its own; %DB% in yml is the database's path.
func newDevice(t testing.TB, yml string) *device {
	t.Helper()
	d := &device{t: t, dir: t.TempDir()}
	d.yml = strings.ReplaceAll(yml, "%DB%", d.path())
	t.Cleanup(func() {
		if d.stop != nil {
			d.stop()
		}
	})
	return d
}

func (d *device) path() string { return filepath.Join(d.dir, "picloud.db") }

// make makes the replicator, with nothing open yet.
func (d *device) make(o Options) *Replicator {
	d.t.Helper()
	f, err := parse([]byte(d.yml), os.LookupEnv)
	if err != nil {
		d.t.Fatal(err)
	}
	o.File, o.Database = f, d.path()
	o.Logger = slog.New(slog.NewTextHandler(testWriter{d.t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	r, err := New(o)
	if err != nil {
		d.t.Fatal(err)
	}
	d.r = r
	if d.impatient > 0 {
		r.guard.timeout = d.impatient
		if l, ok := r.lease.store.(*s3Lease); ok {
			l.timeout = d.impatient
		}
	}
	return r
}

// start opens the database and replicates it.
func (d *device) start(o Options) {
	d.t.Helper()
	d.make(o)
	if err := d.r.Hold(); err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.r.RestoreIfMissing(d.t.Context(), true); err != nil {
		d.t.Fatal(err)
	}
	d.open()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.r.Serve(ctx) }()
	d.stop = func() {
		cancel()
		<-done
		d.db.Close()
		if err := d.r.Close(); err != nil {
			d.t.Errorf("close: %v", err)
		}
		d.stop = nil
	}
}

func (d *device) open() {
	d.t.Helper()
	db, err := sql.Open("sqlite", "file:"+d.path()+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=wal_autocheckpoint(10000)")
	if err != nil {
		d.t.Fatal(err)
	}
	d.db = db
	d.exec("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v TEXT)")
}

func (d *device) exec(q string, args ...any) {
	d.t.Helper()
	if _, err := d.db.Exec(q, args...); err != nil {
		d.t.Fatal(err)
	}
	d.r.Committed()
}

func (d *device) insert(v string) {
	d.t.Helper()
	d.exec("INSERT INTO t(v) VALUES(?)", v)
}

// rows are the values of t in the database.
func (d *device) rows() string {
	d.t.Helper()
	return rowsOf(d.t, d.db)
}

func rowsOf(t testing.TB, db *sql.DB) string {
	t.Helper()
	var all sql.NullString
	if err := db.QueryRow("SELECT group_concat(v, ' ') FROM (SELECT v FROM t ORDER BY id)").Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all.String
}

// rowsIn are the values of t in a restored file.
func rowsIn(t testing.TB, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?immutable=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return rowsOf(t, db)
}

// sync replicates everything.
func (d *device) sync() {
	d.t.Helper()
	if err := d.r.Sync(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// lose is what a thief does: everything that the device had is gone.
func (d *device) lose() {
	d.t.Helper()
	d.stop()
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(d.dir, e.Name())); err != nil {
			d.t.Fatal(err)
		}
	}
}

// until waits for what another goroutine brings about.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}

// fakeS3 is an S3 server that can fail.
type fakeS3 struct {
	*httptest.Server
	handler http.Handler
	mode    atomic.Pointer[string] // "", refuse, silent, denied
	puts    atomic.Int64
	lists   atomic.Int64
	release chan struct{}
}

func newS3(t testing.TB) *fakeS3 {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("backup"); err != nil {
		t.Fatal(err)
	}
	s := &fakeS3{handler: gofakes3.New(backend).Server(), release: make(chan struct{})}
	s.set("")
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		close(s.release)
		s.Server.CloseClientConnections()
		s.Server.Close()
	})
	return s
}

func (s *fakeS3) set(mode string) { s.mode.Store(&mode) }

func (s *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPut:
		s.puts.Add(1)
	case r.Method == http.MethodGet && r.URL.Query().Has("list-type"):
		s.lists.Add(1)
	}
	switch *s.mode.Load() {
	case "refuse":
		panic(http.ErrAbortHandler)
	case "silent":
		select {
		case <-r.Context().Done():
		case <-s.release:
		}
	case "denied":
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<?xml version="1.0"?><Error><Code>InvalidAccessKeyId</Code><Message>no such key</Message></Error>`)
	default:
		s.handler.ServeHTTP(w, r)
	}
}

// yml names the server's bucket as the replica of %DB%.
func (s *fakeS3) yml(path string) string {
	return fmt.Sprintf(`
access-key-id: AKTEST
secret-access-key: SKTEST
dbs:
  - path: "%%DB%%"
    monitor-interval: 50ms
    replica:
      type: s3
      bucket: backup
      path: %s
      region: us-east-1
      endpoint: %s
`, path, s.URL)
}

func fileYML(dir string) string {
	return fmt.Sprintf("dbs:\n  - path: \"%%DB%%\"\n    monitor-interval: 50ms\n    replica:\n      path: %q\n", dir)
}
