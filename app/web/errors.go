package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"

	"picloud/app/cloud"
)

// Header names of ours.
const (
	headerExecution = "X-Picloud-Execution-Id"
	headerRequest   = "X-Picloud-Request-Id"
)

// failure is the body of every error.
type failure struct {
	Error struct {
		Code    cloud.Kind `json:"code"`
		Message string     `json:"message"`
	} `json:"error"`
	ExecutionID cloud.ExecutionID `json:"execution_id,omitzero"`
}

// moved is the error of a request for an app by a slug that it had before.
type moved struct{ to string }

func (m *moved) Error() string { return "moved to " + m.to }

// fail is the one place where errors become answers. What is nobody's business is logged
// under an id that the answer carries.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.failRun(w, r, err, cloud.ExecutionID{})
}

func (s *Server) failRun(w http.ResponseWriter, r *http.Request, err error, run cloud.ExecutionID) {
	var m *moved
	if errors.As(err, &m) {
		secure(w.Header())
		w.Header().Set("Location", m.to)
		w.WriteHeader(http.StatusPermanentRedirect)
		return
	}
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		err = cloud.Errorf(cloud.Overloaded, "the request was given up").WithCause(err)
	}
	kind := cloud.KindOf(err)
	s.logFailure(w, r, kind, err, run)
	f := failure{ExecutionID: run}
	f.Error.Code, f.Error.Message = kind, cloud.Message(err)
	switch kind {
	case cloud.Unauthenticated:
		w.Header().Set("WWW-Authenticate", `Bearer realm="picloud"`)
	case cloud.Overloaded, cloud.RateLimited:
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter(err)))
	case cloud.TooLarge:
		w.Header().Set("Connection", "close") // the rest of the body is not worth reading
	}
	writeJSON(w, kind.Status(), f)
	linger(w, r)
}

// Bounds of linger.
const (
	lingerBytes = 32 << 20
	lingerTime  = 2 * time.Second
	readAnyway  = 256 << 10 // by the server, after each answer
)

// linger reads on, for a while, what the client still sends after it was refused. Most
// clients send the whole body before they read, and would get a broken connection instead of
// the answer.
func linger(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody || 0 <= r.ContentLength && r.ContentLength <= readAnyway || r.Header.Get("Expect") != "" {
		return
	}
	c := http.NewResponseController(w)
	if c.Flush() != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, lingerBytes)
}

func (s *Server) logFailure(w http.ResponseWriter, r *http.Request, kind cloud.Kind, err error, run cloud.ExecutionID) {
	if kind != cloud.Internal {
		s.log.Debug("request refused", "method", r.Method, "path", r.URL.Path, "kind", kind, "error", err, "exec", run)
		return
	}
	id := uuid.NewString()
	w.Header().Set(headerRequest, id)
	s.log.Error("request failed", "request", id, "method", r.Method, "path", r.URL.Path, "error", err, "exec", run)
}

// retryAfter is in how many seconds asking again makes sense: what the error says, else 1.
func retryAfter(err error) int {
	var e interface{ RetryAfter() time.Duration }
	if errors.As(err, &e) {
		return max(1, int((e.RetryAfter()+time.Second-1)/time.Second))
	}
	return 1
}

// recover turns a panic into a 500 and a log line with the stack. It is the edge of every
// request.
func (s *Server) recover(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	id := uuid.NewString()
	s.log.Error("request panicked", "request", id, "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	w.Header().Set(headerRequest, id)
	f := failure{}
	f.Error.Code, f.Error.Message = cloud.Internal, cloud.Message(errPanicked)
	writeJSON(w, http.StatusInternalServerError, f)
}

var errPanicked = errors.New("panicked")

// writeJSON answers v with the headers that every answer of ours has.
func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // only a value of ours that JSON can't hold
		panic(err)
	}
	writeBody(w, status, "application/json; charset=utf-8", b)
}

func writeBody(w http.ResponseWriter, status int, contentType string, b []byte) {
	h := w.Header()
	secure(h)
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b) // the peer may have gone
}

// secure sets the headers of answers that are not a script's: data, never a page.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
}
