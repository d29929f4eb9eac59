package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// subscriber is a bare connection on which a topic streams: thousands of them must fit beside
// the instance.
type subscriber struct {
	conn net.Conn
	r    *bufio.Reader
}

func (in *instance) listen(t *testing.T, path string, header ...string) *subscriber {
	t.Helper()
	conn, err := net.Dial("tcp", in.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, in.addr, strings.Join(append(header, ""), "\r\n"))
	s := &subscriber{conn, bufio.NewReaderSize(conn, 512)}
	s.until(t, ": connected")
	return s
}

// until reads to the line that begins with prefix, and answers it. "" is the end.
func (s *subscriber) until(t *testing.T, prefix string) string {
	t.Helper()
	var seen bytes.Buffer
	for {
		line, err := s.r.ReadString('\n')
		if err != nil && prefix == "" {
			return ""
		}
		if err != nil {
			t.Fatalf("want a line %q, got %s%v", prefix, seen.String(), err)
		}
		if prefix != "" && strings.HasPrefix(line, prefix) {
			return strings.TrimSpace(line)
		}
		seen.WriteString(line)
	}
}

const announcer = `export default (ctx) => {
  if (ctx.request.query.token) return { token: pubsub.subscriberToken(["news", "orders/*"], 60) };
  pubsub.publishDurable("news", { n: Number(ctx.request.query.n) });
  if (ctx.request.query.fail) throw new Error("no");
  return "said";
}`

// What an execution publishes reaches subscribers when it has committed, and only then; who
// comes again misses nothing; an orderly stop ends the streams; a restart is a gap.
func TestRealtime(t *testing.T) {
	in := newInstance(t)
	in.deploy(t, "announcer", announcer, "/say", "sync")
	const topic, path = "/api/v1/admin/apps/default/topics/news", "/~default/realtime/topics/news"
	in.must(t, "PUT", topic, map[string]any{"external_subscribable": true, "auth_mode": "token"})
	say := func(query string) []byte {
		t.Helper()
		_, _, body, err := in.do(request{as: "nobody", method: "GET", path: "/say?" + query, header: http.Header{}})
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	token := strings.Split(string(say("token=1")), `"`)[3]
	if status, _, body, err := in.do(request{as: "nobody", method: "GET", path: path, header: http.Header{}}); status != 401 || err != nil {
		t.Fatalf("without a token: got %d %s %v", status, body, err)
	}
	s := in.listen(t, path+"?token="+token)
	say("n=1&fail=1")
	say("n=2")
	id := s.until(t, "id: ")
	if got := s.until(t, "data: "); !strings.Contains(got, `"message":{"n":2}`) {
		t.Errorf("got %s, want what was committed", got)
	}
	s.conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := retry(ctx, func() error {
		_, _, metrics, err := in.do(request{as: "owner", method: "GET", path: "/metrics", header: http.Header{}})
		if err == nil && !bytes.Contains(metrics, []byte("\npicloud_realtime_subscribers 0\n")) {
			err = errors.New("who has left is still counted as a subscriber")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	say("n=3")
	again := in.listen(t, path, "Authorization: Bearer "+token, "Last-Event-ID: "+strings.TrimPrefix(id, "id: "))
	if got := again.until(t, "data: "); !strings.Contains(got, `"message":{"n":3}`) {
		t.Errorf("got %s, want what was missed", got)
	}
	if err := in.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	again.until(t, "")
	if err := in.cmd.Wait(); err != nil {
		t.Errorf("orderly stop: %v", err)
	}
	in.cmd = nil
	in.mustStart(t)
	again = in.listen(t, path+"?token="+token, "Last-Event-ID: "+strings.TrimPrefix(id, "id: ")) // the key outlives the restart
	again.until(t, "event: gap")
}

// 5,000 subscribers that wait take at most 60 MB, and all of them hear what is said. A
// request, its buffers and its stack, kept for each, would be 125 MB. Without PICLOUD_LONG
// there are 2,000, in a heap that has not settled yet.
func TestRealtimeSubscribersAreSmall(t *testing.T) {
	if raced && os.Getenv("PICLOUD_BIN") == "" {
		t.Skip("the race detector's own memory would be measured")
	}
	in := newInstance(t)
	in.deploy(t, "announcer", announcer, "/say", "sync")
	in.must(t, "PUT", "/api/v1/admin/apps/default/topics/news", map[string]any{"external_subscribable": true, "auth_mode": "public"})
	before, n, most := in.resident(t), 2000, 40<<20
	if long() {
		n, most = 5000, 60<<20
	}
	all := make([]*subscriber, n)
	for i := range all {
		all[i] = in.listen(t, "/~default/realtime/topics/news")
	}
	took := in.resident(t) - before
	t.Logf("%d subscribers: %d MB, %d bytes each, beside %d MB", n, took>>20, took/n, before>>20)
	if took > most {
		t.Errorf("%d subscribers take %d bytes: at most %d are allowed", n, took, most)
	}
	in.must(t, "POST", "/api/v1/admin/apps/default/topics/news/messages", map[string]any{"message": "hello"})
	for _, s := range all {
		s.until(t, "data: ")
	}
	t.Logf("after a message: %d MB", in.resident(t)>>20)
}

// resident is how much memory the instance holds, in bytes.
func (in *instance) resident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", in.cmd.Process.Pid))
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}
