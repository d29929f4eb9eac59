package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// spoil writes over pages in the middle of a file of the data directory.
func (in *instance) spoil(t *testing.T, name string, pages int64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(in.dir, name), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	middle := info.Size() / page / 2 * page
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, int(pages*page)), middle); err != nil {
		t.Fatal(err)
	}
}

// Pages of both files go bad while the instance runs. Who needs one of picloud.db is told so,
// everything else goes on; /readyz and one line of the log say what to do.
func TestPagesGoBad(t *testing.T) {
	in, start := newFaulty(t, func(string) {})
	start("PICLOUD_LOG_DELAY=1ms")
	in.deploy(t, "talk", `export default (ctx) => { console.log("x".repeat(4000)); return kv.collection("c").get(ctx.request.query.k) }`, "/talk", "sync")
	const entries = 300
	value, _ := json.Marshal(map[string]any{"value": strings.Repeat("x", 3000)})
	for n := range entries {
		if status, _, body, err := in.do(request{as: "owner", method: "PUT", path: "/api/v1/admin/apps/default/kv/c/" + strconv.Itoa(n), body: string(value), header: http.Header{}}); err != nil || status != 200 {
			t.Fatalf("%d: %d %s %v", n, status, body, err)
		}
	}
	for range 100 {
		in.do(request{as: "nobody", method: "GET", path: "/talk?k=0", header: http.Header{}})
	}
	in.halt(t)
	start("PICLOUD_LOG_DELAY=1ms")
	in.spoil(t, "logs.db", 20)
	for _, path := range []string{"/talk?k=1", "/hello", "/readyz"} {
		if status, _, body, err := in.do(request{as: "nobody", method: "GET", path: path, header: http.Header{}}); err != nil || status != 200 {
			t.Errorf("only logs.db is damaged, and %s answers %d %s %v", path, status, body, err)
		}
	}
	in.spoil(t, "picloud.db", 20)
	look := func(when string) {
		t.Helper()
		fine, told := 0, 0
		for n := range entries {
			switch status, _, body, err := in.do(request{as: "nobody", method: "GET", path: "/talk?k=" + strconv.Itoa(n), header: http.Header{}}); {
			case err == nil && status == 200:
				fine++
			case err == nil && status == 500 && strings.Contains(string(body), "picloud restore"):
				told++
			case err == nil && status == 502: // the page's structure is whole, the value is not JSON: SQLite keeps no checksums
			default:
				t.Errorf("%s, entry %d: %d %s %v", when, n, status, body, err)
			}
		}
		if told == 0 || fine < entries/2 {
			t.Errorf("%s, %d entries can be read, of %d it is said that they can't", when, fine, told)
		}
		in.until(t, "GET", "/readyz", "not ready: the database is damaged.*picloud restore")
		in.until(t, "GET", "/hello", "Hello, world!")
	}
	look("while it runs")
	if n := in.lines(t, `msg="the database is damaged" file=picloud.db`); n != 1 {
		t.Errorf("the log says %d times what to do", n)
	}
	if n := in.lines(t, `file=logs.db why="the execution log is damaged`); n > 1 {
		t.Errorf("the log says %d times what to do about logs.db", n)
	}

	// A start reads no entries, and finds nothing wrong: it serves, and tells again when it does.
	for _, end := range []func(*testing.T){func(*testing.T) { in.kill() }, in.halt} {
		end(t)
		start("PICLOUD_LOG_DELAY=1ms")
		in.until(t, "GET", "/readyz", `"status":"ready"`)
		look("after another start")
	}
}
