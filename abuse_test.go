package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// abused is an instance with room for few connections and a script that answers much.
func abused(t *testing.T) *instance {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	in := &instance{dir: filepath.Join(t.TempDir(), "data"), addr: "127.0.0.1:" + port}
	t.Cleanup(in.kill)
	env := append(os.Environ(), "PICLOUD_OWNER_USERNAME="+ownerName, "PICLOUD_OWNER_PASSWORD="+ownerPassword, fmt.Sprint("PICLOUD_MAX_CONNECTIONS=", maxConnections))
	if err := in.start(env, "serve", "--data-dir", in.dir, "--listen", in.addr); err != nil {
		t.Fatal(err)
	}
	in.deploy(t, "much", `export default () => "x".repeat(1000000)`, "/much", "sync")
	in.deploy(t, "echo", `export default (ctx) => ({ type: typeof ctx.request.body, base64: ctx.request.isBase64 ?? null })`, "/echo", "sync")
	return in
}

const maxConnections = 300

// still fails the test unless an honest caller is answered, and returns what the process holds.
func (in *instance) still(t *testing.T, while string) (files int, resident int64) {
	t.Helper()
	if status, body, err := fetch(t, "http://"+in.addr+"/hello"); err != nil || status != 200 {
		t.Errorf("%s: /hello answers %d %.100s (%v)", while, status, body, err)
	}
	proc := fmt.Sprintf("/proc/%d/", in.cmd.Process.Pid)
	list, _ := os.ReadDir(proc + "fd")
	statm, _ := os.ReadFile(proc + "statm")
	var size, pages int64
	fmt.Sscan(string(statm), &size, &pages)
	t.Logf("%s: %d files open, %d MiB resident", while, len(list), pages*int64(os.Getpagesize())>>20)
	return len(list), pages * int64(os.Getpagesize())
}

func (in *instance) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", in.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute)) // a TCP connection has deadlines
	return c
}

// TestMalformedRequests sends what no honest client would: each is answered by one status of
// the client's fault, or not at all, and nothing that is hidden in it is run as another request.
func TestMalformedRequests(t *testing.T) {
	t.Parallel()
	in := abused(t)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := io.Copy(z, io.LimitReader(zeros{}, 100<<20)); err != nil {
		t.Fatal(err)
	}
	z.Close()
	post := "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
	sized := func(body string) string { return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", post, len(body), body) }
	for _, tt := range []struct{ name, send, want string }{ // want: the beginnings of the answers' status lines
		{"a giant header", "GET /hello HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 100_000) + "\r\n\r\n", "431"},
		{"many headers", "GET /hello HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 20_000) + "\r\n", "431"},
		{"a giant URL", "GET /" + strings.Repeat("x", 100_000) + " HTTP/1.1\r\nHost: a\r\n\r\n", "431"},
		{"a giant cookie", "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\nCookie: " + strings.Repeat("a=b; ", 10_000) + "\r\n\r\n", "200"},
		{"no host", "GET /hello HTTP/1.1\r\n\r\n", "400"},
		{"two hosts", "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
		{"a host that is none", "GET /hello HTTP/1.1\r\nHost: a b/<script>\r\n\r\n", "400"},
		{"a host of bytes", "GET /hello HTTP/1.1\r\nHost: \xff\r\n\r\n", "400"},
		{"two lengths", post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "400"},
		{"a negative length", post + "Content-Length: -1\r\n\r\n{}", "400"},
		{"an unknown encoding", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501"},
		{"two encodings", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", "501 400"},
		{"a length and an encoding", strings.Replace(post, "Connection: close\r\n", "", 1) + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200 400"},
		{"a bad chunk", post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", "400"},
		{"a length that is too short", "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxG", "200 400"},
		{"space before a header's colon", "GET /hello HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "400"},
		{"a length beyond the bound", post + "Content-Length: 9999999999\r\n\r\n", "413"},
		{"chunks without end", post + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("10000\r\n"+strings.Repeat("x", 0x10000)+"\r\n", 20), "413"},
		{"a bomb of gzip", fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", zipped.Len(), zipped.String()), "200"},
		{"a bomb of gzip as JSON", strings.Replace(sized(zipped.String()), "Content-Type", "Content-Encoding: gzip\r\nContent-Type", 1), "400"},
		{"deep JSON", sized(strings.Repeat("[", 500_000)), "400"},
		{"deep JSON that is closed", sized(strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000)), "400"},
		{"a giant number", sized("[" + strings.Repeat("9", 500_000) + "e" + strings.Repeat("9", 1000) + "]"), "200"},
		{"HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "404 505"},
		{"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := in.dial(t)
			go func() {
				_, _ = io.WriteString(c, tt.send) // it may be refused before it ends
				_ = c.(*net.TCPConn).CloseWrite()
			}()
			b, _ := io.ReadAll(c) // nor need the answer end well
			var got []string
			for line := range strings.Lines(string(b)) {
				if status, ok := strings.CutPrefix(line, "HTTP/1.1 "); ok {
					got = append(got, status[:3])
				}
			}
			switch {
			case tt.want == "200 400" && strings.Join(got, " ") == tt.want:
			case len(got) == 1 && strings.Contains(tt.want, got[0]):
			default:
				t.Errorf("got %v, want %s: %.200q", got, tt.want, b)
			}
		})
	}
	if _, resident := in.still(t, "after malformed requests"); resident > 400<<20 {
		t.Errorf("%d MiB are resident", resident>>20)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestConnectionFloods: pipelined requests are answered in order, slow and idle connections are
// bounded and given up, and honest callers are answered meanwhile.
func TestConnectionFloods(t *testing.T) {
	t.Parallel()
	in := abused(t)
	c := in.dial(t)
	go func() {
		for n := range 1000 {
			fmt.Fprintf(c, "GET /nothing/%d HTTP/1.1\r\nHost: a\r\n\r\n", n)
		}
	}()
	r := bufio.NewReader(c)
	for n := range 1000 {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("the pipelined request %d: %v", n, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 404 || !strings.Contains(string(body), fmt.Sprintf("/nothing/%d", n)) {
			t.Fatalf("the pipelined request %d: %d %s (%v)", n, resp.StatusCode, body, err)
		}
	}
	_, metrics, err := fetch(t, "http://"+in.addr+"/metrics")
	if err != nil || strings.Contains(metrics, "nothing") {
		t.Errorf("metrics name paths that nobody has made: %v", err)
	}
	before, _ := in.still(t, "after a thousand unknown paths")

	// Requests whose headers never end, and readers that read no more than that they are answered.
	// None of them keeps an honest caller out. Each is answered before the next one asks: a hundred
	// megabytes at once may take a slow machine longer than a caller waits for a permit.
	var held []net.Conn
	for range 100 {
		c := in.dial(t)
		fmt.Fprint(c, "GET /hello HTTP/1.1\r\nHost: a\r\nX-Slow: ")
		held = append(held, c)
		reader := in.dial(t)
		fmt.Fprint(reader, "GET /much HTTP/1.1\r\nHost: a\r\n\r\n")
		const answered = "HTTP/1.1 200 OK"
		got := make([]byte, len(answered))
		if _, err := io.ReadFull(reader, got); err != nil || string(got) != answered {
			t.Fatalf("a slow reader is answered %q (%v)", got, err)
		}
	}
	// Connections are taken in order: when this one is answered, all of them are there.
	last := in.dial(t)
	fmt.Fprint(last, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(last), nil); err != nil || resp.StatusCode != 200 {
		t.Fatalf("beside 100 slow writers and 100 slow readers: %v %v", resp, err)
	}
	if opened, _ := in.still(t, "with 100 slow writers and 100 slow readers"); opened < before+150 {
		t.Errorf("%d files are open, %d before: the connections are not there", opened, before)
	}

	// More connections than there may be: those beyond are closed at once.
	var refused atomic.Int64
	var told sync.WaitGroup
	for range maxConnections {
		c := in.dial(t)
		told.Go(func() {
			_ = c.SetReadDeadline(time.Now().Add(3 * time.Second)) // what is open says nothing
			if _, err := c.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
				refused.Add(1)
			}
		})
	}
	told.Wait()
	if n := refused.Load(); n < 150 {
		t.Errorf("%d of %d connections too many were closed", n, maxConnections)
	}
	// The slow writers are given up after ten seconds; then there is room again.
	var gone sync.WaitGroup
	for _, c := range held {
		gone.Go(func() {
			b, err := io.ReadAll(c)
			if isTimeout(err) {
				t.Errorf("a request that doesn't end is still waited for: %q", b)
			}
		})
	}
	gone.Wait()
	if files, _ := in.still(t, "after slow writers were given up"); files > before+maxConnections {
		t.Errorf("%d files are open", files)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}
