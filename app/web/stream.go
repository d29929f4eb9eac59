package web

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"picloud/app/cloud"
)

// Bounds of event streams.
const (
	maxStreams       = 128              // open at once, for the whole instance
	defaultHeartbeat = 15 * time.Second // also how soon a lost right ends a stream
	streamWriteTime  = 10 * time.Second // a client that takes longer is dropped
)

type streamQuery struct {
	ScriptID cloud.ScriptID `json:"script_id"`
	Status   cloud.Status   `json:"status"`
	Source   string         `json:"source"`
}

func (in streamQuery) includes(x *cloud.Execution) bool {
	return (in.ScriptID.IsZero() || in.ScriptID == x.ScriptID) && (in.Status == "" || in.Status == x.Status) && (in.Source == "" || in.Source == x.Source)
}

// stream sends an app's executions as they finish, until the client leaves, loses its right
// or its session, falls behind, or the server stops.
func (s *Server) stream(ctx context.Context, q *request, in streamQuery) error {
	if q.r.Method == http.MethodHead {
		streamHeaders(q.w.Header())
		return nil
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		return cloud.Errorf(cloud.Overloaded, "%d event streams are open: close one", maxStreams)
	}
	finished, cancel := s.Log.Subscribe(q.appID)
	defer cancel()
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	t := &tail{Server: s, q: q, want: in, out: responseEvents(q.w), finished: finished, beat: beat.C}
	for more := t.out.send(streamOpened) == nil; more; {
		more = t.step(ctx)
	}
	return nil // the answer has begun: whoever misses something reconnects
}

// tail is one open stream.
type tail struct {
	*Server
	q        *request
	want     streamQuery
	out      *eventWriter
	finished <-chan *cloud.Execution
	beat     <-chan time.Time
}

// step sends the next thing and reports whether there can be another.
func (t *tail) step(ctx context.Context) (more bool) {
	select {
	case <-ctx.Done():
		return false
	case <-t.stopping:
		return false
	case x, open := <-t.finished:
		return open && (!t.want.includes(x) || t.out.event("execution", complete(x)) == nil)
	case <-t.beat:
		if !t.stillMay(ctx, t.q) {
			_ = t.out.event("end", map[string]string{"reason": "the right to read this app's logs has ended"})
			return false
		}
		return t.out.send(": heartbeat\n\n") == nil
	}
}

// stillMay asks again who is calling and whether they may.
func (s *Server) stillMay(ctx context.Context, q *request) bool {
	p, err := s.principal(ctx, q.r)
	return err == nil && p.Can(cloud.LogRead, q.appID)
}

// eventWriter writes server-sent events, each within a bounded time.
type eventWriter struct {
	to interface {
		io.Writer
		SetWriteDeadline(time.Time) error
		Flush() error
	}
}

// responseEvents writes to an answer of the server, and sets its headers.
func responseEvents(w http.ResponseWriter) *eventWriter {
	c := http.NewResponseController(w)
	// The server's timeouts are for requests that end.
	_ = c.SetReadDeadline(time.Time{})
	streamHeaders(w.Header())
	return &eventWriter{struct {
		http.ResponseWriter
		*http.ResponseController
	}{w, c}}
}

// streamOpened lets a client see at once that it listens.
const streamOpened = ": connected\n\n"

func streamHeaders(h http.Header) {
	secure(h)
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
}

func (e *eventWriter) event(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return e.send("event: " + name + "\ndata: " + string(b) + "\n\n")
}

func (e *eventWriter) send(text string) error { return e.write([]byte(text)) }

func (e *eventWriter) write(events []byte) error {
	_ = e.to.SetWriteDeadline(time.Now().Add(streamWriteTime)) // a recorder in tests has none
	if _, err := e.to.Write(events); err != nil {
		return err
	}
	return e.to.Flush()
}
