package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"picloud/app/cloud"
)

func TestReadEvents(t *testing.T) {
	t.Parallel()
	in := ": connected\n\nevent: execution\ndata: {\"id\":1}\n\n: heartbeat\n\ndata: a\ndata:b\n\nevent: end\n\nevent: end\ndata:\n\nevent: cut\ndata: off"
	var got []string
	alive := 0
	err := readEvents(strings.NewReader(in), func() { alive++ }, func(name string, data []byte) error {
		got = append(got, name+"="+string(data))
		return nil
	})
	if want := []string{`execution={"id":1}`, "=a\nb", "end="}; !slices.Equal(got, want) || err != io.ErrUnexpectedEOF {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if want := strings.Count(in, "\n") + 1; alive != want {
		t.Errorf("got %d signs of life, want %d", alive, want)
	}
}

func TestReadEventsEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	n := 0
	err := readEvents(strings.NewReader("data: 1\n\ndata: 2\n\n"), func() {}, func(string, []byte) error { n++; return stop })
	if err != stop || n != 1 {
		t.Errorf("got %v after %d events", err, n)
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add("event: a\ndata: b\n\n")
	f.Add("data\n\n:\ndata:\r\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		_ = readEvents(strings.NewReader(in), func() {}, func(name string, data []byte) error {
			if strings.Contains(name, "\n") || len(data) > len(in) {
				t.Errorf("%q gave the event %q with %q", in, name, data)
			}
			return nil
		})
	})
}

// flakyInstance streams two executions at each connection and then drops it; its list has
// one more that finished meanwhile. The connection after next is refused.
type flakyInstance struct {
	mu          sync.Mutex
	connections int
	since       []string
}

func (f *flakyInstance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/scripts"):
		_, _ = io.WriteString(w, `{"items":[],"next_cursor":null}`)
	case strings.HasSuffix(r.URL.Path, "/stream") && f.connections == 2:
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error":{"code":"forbidden","message":"no more"}}`)
	case strings.HasSuffix(r.URL.Path, "/stream"):
		f.connections++
		w.Header().Set("Date", "Wed, 01 Jan 2025 00:00:00 GMT") // like a clock of long ago
		for n := range 2 {
			fmt.Fprintf(w, "event: execution\ndata: %s\n\n", executionOf(10*f.connections+n))
		}
	default:
		f.since = append(f.since, r.URL.Query().Get("since"))
		fmt.Fprintf(w, `{"items":[%s,%s],"next_cursor":null}`, executionOf(10*f.connections+1), executionOf(10*f.connections-1))
	}
}

func executionOf(n int) string {
	return fmt.Sprintf(`{"id":"%d","finished_at":"2026-01-01T00:00:%02d.000Z"}`, n, n)
}

// Nothing that finished is missed and nothing printed twice, over a lost connection; a right
// that was taken ends it.
func TestFollow(t *testing.T) {
	t.Parallel()
	f := &flakyInstance{}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	var out, errs bytes.Buffer
	c := logsCommand()
	c.SetArgs([]string{"-f", "--json", "--app", "a", "--url", server.URL, "--key", "pic_x"})
	c.SetOut(&out)
	c.SetErr(&errs)
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.ExecuteContext(t.Context())
	if cloud.KindOf(err) != cloud.Forbidden {
		t.Errorf("got %v, want forbidden", err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		var x struct{ ID string }
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got = append(got, x.ID)
	}
	if want := []string{"9", "11", "10", "19", "21", "20"}; !slices.Equal(got, want) {
		t.Errorf("printed %v, want %v", got, want)
	}
	if want := []string{"", "2025-12-31T23:55:10Z"}; !slices.Equal(f.since, want) {
		t.Errorf("asked for what started since %q, want %q", f.since, want)
	}
	if strings.Count(errs.String(), "the connection is lost") != 2 {
		t.Errorf("told: %s", errs.String())
	}
}

func TestFollowThatNeverConnects(t *testing.T) {
	t.Parallel()
	c := logsCommand()
	c.SetArgs([]string{"-f", "--app", "a", "--url", "http://127.0.0.1:1", "--key", "pic_x"})
	c.SetOut(io.Discard)
	c.SetErr(io.Discard)
	c.SilenceErrors, c.SilenceUsage = true, true
	if err := c.ExecuteContext(t.Context()); exitCode(err) != ExitUnreached {
		t.Errorf("got %v, want unreached", err)
	}
}

func TestFollowStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/stream") {
			_, _ = io.WriteString(w, `{"items":[],"next_cursor":null}`)
			return
		}
		_ = http.NewResponseController(w).Flush()
		stop()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	c := logsCommand()
	c.SetArgs([]string{"-f", "--app", "a", "--url", server.URL, "--key", "pic_x"})
	if err := c.ExecuteContext(ctx); err != nil {
		t.Errorf("got %v, want none: the user stopped it", err)
	}
}
