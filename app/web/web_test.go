package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
)

func newRequest(method, target string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]int{
		"/":                        placeUser,
		"/hello":                   placeUser,
		"/apis":                    placeUser,
		"/administrator":           placeUser,
		"/healthzz":                placeUser,
		"/~x/api/v1":               placeUser,
		"/x/api/v1":                placeUser,
		"/%7Ex/hello":              placeUser,
		"/api":                     placeSystem,
		"/api/":                    placeSystem,
		"/api/v1/admin/apps":       placeSystem,
		"/admin":                   placeSystem,
		"/admin/":                  placeSystem,
		"/admin/apps/x":            placeSystem,
		"/healthz":                 placeSystem,
		"/readyz":                  placeSystem,
		"/version":                 placeSystem,
		"/metrics":                 placeSystem,
		"/realtime/x":              placeSystem,
		"/api/../hello":            placeSystem, // plainly the API's, where no endpoint is called so
		"//api/v1/admin/apps":      placeOdd,
		"/./api/v1":                placeOdd,
		"/%61pi/v1/admin/apps":     placeOdd,
		"/a%70i":                   placeOdd,
		"/api%2Fv1%2Fadmin":        placeOdd,
		"/%2Fapi/v1":               placeOdd,
		"/~x/../admin":             placeOdd,
		"/~x/%2e%2e/admin":         placeOdd,
		"/~x/..%2fadmin":           placeOdd,
		"/x/../api/v1/admin/users": placeOdd,
		"/hello/..//metrics":       placeOdd,
	} {
		if got := place(newRequest("GET", "http://h"+path)); got != want {
			t.Errorf("place(%q): got %d, want %d", path, got, want)
		}
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	s := &Server{Options: Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}}}
	for _, tt := range []struct{ name, peer, forwarded, want string }{
		{"a peer", "203.0.113.9:4000", "", "203.0.113.9"},
		{"a peer that lies", "203.0.113.9:4000", "198.51.100.1", "203.0.113.9"},
		{"a trusted proxy", "10.1.1.1:4000", "198.51.100.1", "198.51.100.1"},
		{"a client that lies to a trusted proxy", "10.1.1.1:4000", "192.0.2.66, 198.51.100.1", "198.51.100.1"},
		{"a chain of proxies", "10.1.1.1:4000", "192.0.2.66, 198.51.100.1, 10.2.2.2", "198.51.100.1"},
		{"with a port", "10.1.1.1:4000", "198.51.100.1:5000", "198.51.100.1"},
		{"IPv6 in brackets", "[::1]:4000", "[2001:db8::1]", "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:10.1.1.1]:4000", "198.51.100.1", "198.51.100.1"},
		{"nonsense ends the chain", "10.1.1.1:4000", "198.51.100.1, unknown, 10.2.2.2", "10.2.2.2"},
		{"nothing forwarded", "10.1.1.1:4000", "", "10.1.1.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRequest("GET", "/")
			r.RemoteAddr = tt.peer
			if tt.forwarded != "" {
				r.Header.Set("X-Forwarded-For", tt.forwarded)
			}
			if got := s.clientAddress(r); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSameOrigin(t *testing.T) {
	t.Parallel()
	s := &Server{Options: Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}
	for _, tt := range []struct {
		name    string
		peer    string
		header  []string
		same    bool
		foreign bool
	}{
		{"nothing said", "192.0.2.1:1", nil, false, false},
		{"own origin", "192.0.2.1:1", []string{"Origin", "http://pi.local:8080"}, true, false},
		{"own origin in other case", "192.0.2.1:1", []string{"Origin", "http://PI.local:8080"}, true, false},
		{"other port", "192.0.2.1:1", []string{"Origin", "http://pi.local"}, false, true},
		{"other host", "192.0.2.1:1", []string{"Origin", "http://evil.example"}, false, true},
		{"opaque origin", "192.0.2.1:1", []string{"Origin", "null"}, false, true},
		{"browser vouches", "192.0.2.1:1", []string{"Sec-Fetch-Site", "same-origin"}, true, false},
		{"typed by hand", "192.0.2.1:1", []string{"Sec-Fetch-Site", "none"}, true, false},
		{"sibling site", "192.0.2.1:1", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://pi.local:8080"}, false, true},
		{"cross site", "192.0.2.1:1", []string{"Sec-Fetch-Site", "cross-site"}, false, true},
		{"forwarded host of a stranger", "192.0.2.1:1", []string{"Origin", "http://evil.example", "X-Forwarded-Host", "evil.example"}, false, true},
		{"forwarded host of a trusted proxy", "10.0.0.1:1", []string{"Origin", "https://cloud.example", "X-Forwarded-Host", "cloud.example"}, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRequest("POST", "http://pi.local:8080/api/v1/admin/apps", tt.header...)
			r.RemoteAddr = tt.peer
			if got := s.sameOrigin(r); got != tt.same {
				t.Errorf("sameOrigin: got %v, want %v", got, tt.same)
			}
			if got := s.foreign(r); got != tt.foreign {
				t.Errorf("foreign: got %v, want %v", got, tt.foreign)
			}
		})
	}
}

func TestLocal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, peer, header string
		want               bool
	}{
		{"loopback", "127.0.0.1:1", "", true},
		{"loopback, IPv6", "[::1]:1", "", true},
		{"elsewhere", "192.0.2.1:1", "", false},
		{"a proxy on this machine", "127.0.0.1:1", "X-Forwarded-For", false},
		{"a proxy that sets Forwarded", "127.0.0.1:1", "Forwarded", false},
		{"a proxy that sets X-Real-IP", "127.0.0.1:1", "X-Real-IP", false},
		{"a proxy that sets Via", "127.0.0.1:1", "Via", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRequest("GET", "/metrics")
			r.RemoteAddr = tt.peer
			if tt.header != "" {
				r.Header.Set(tt.header, "x")
			}
			if got := local(r); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// newServer is a server without stores, for what needs none.
func newServer(tb testing.TB, o Options) *Server {
	tb.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return New(o)
}

func TestSystemPaths(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{
		Version: Version{Product: "picloud 1.0", SDK: "1.2", Schema: 3, Commit: "abc"},
		Ready:   func(context.Context) error { return nil },
	})
	for _, tt := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/healthz", 200, `{"status":"ok"}`},
		{"HEAD", "/healthz", 200, ``},
		{"POST", "/healthz", 405, `"code":"method_not_allowed"`},
		{"OPTIONS", "/healthz", 204, ``},
		{"OPTIONS", "/admin/", 204, ``},
		{"OPTIONS", "/realtime/topics/x", 204, ``},
		{"GET", "/healthz/", 404, `"code":"not_found"`},
		{"GET", "/readyz", 200, `{"status":"ready"}`},
		{"GET", "/version", 200, `{"product":"picloud 1.0","api":1,"sdk":"1.2","schema":3,"commit":"abc"}`},
		{"GET", "/realtime/x", 404, `"code":"not_found"`},
		{"GET", "/api", 404, `"code":"not_found"`},
		{"GET", "/api/v2/x", 404, `"code":"not_found"`},
		{"GET", "/api/v1/admin/nothing", 404, `"code":"not_found"`},
		{"GET", "/api/v1//admin/apps", 404, `"code":"not_found"`},
		{"GET", "/api/v1/admin/apps/", 404, `"code":"not_found"`},
		{"GET", "/api/v1/admin/apps/../apps", 404, `"code":"not_found"`},
		{"GET", "/api/v1/admin/apps/%ff", 404, `"code":"not_found"`},
		{"GET", "//api/v1/admin/apps", 400, `"code":"bad_request"`},
		{"GET", "/%61pi/v1/admin/apps", 400, `"code":"bad_request"`},
		{"GET", "/~x/../admin", 400, `"code":"bad_request"`},
		{"PUT", "/api/v1/admin/apps", 405, `"code":"method_not_allowed"`},
		{"OPTIONS", "/api/v1/admin/apps", 204, ``},
		{"GET", "/api/v1/admin/apps", 401, `"code":"unauthenticated"`},
		{"GET", "/api/v1/openapi.json", 200, `"openapi": "3.1.0"`},
		{"POST", "/admin/", 405, `"code":"method_not_allowed"`},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			s.Handler().ServeHTTP(w, newRequest(tt.method, "http://pi"+tt.path))
			if w.Code != tt.status || tt.method != "HEAD" && !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, tt.status, tt.body)
			}
			if (w.Code == 405 || w.Code == 204) && w.Header().Get("Allow") == "" {
				t.Errorf("%d without Allow", w.Code)
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers: got %v", w.Header())
			}
		})
	}
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{Ready: func(context.Context) error { return cloud.Errorf(cloud.Internal, "the dispatcher has stopped") }})
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, newRequest("GET", "/readyz"))
	if w.Code != 503 || !strings.Contains(w.Body.String(), "the dispatcher has stopped") || w.Header().Get("Retry-After") != "1" {
		t.Errorf("got %d %s %v", w.Code, w.Body, w.Header())
	}
}

func TestPanicIsAnswered(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s := newServer(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Ready: func(context.Context) error { panic("secret detail") }})
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, newRequest("GET", "/readyz"))
	if w.Code != 500 || !strings.Contains(w.Body.String(), `"code":"internal"`) || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if id := w.Header().Get(headerRequest); id == "" || !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "secret detail") {
		t.Errorf("log: got %s, want the panic under %s", log.String(), id)
	}
}

func TestInternalErrorsAreLoggedNotAnswered(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	s := newServer(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	w := httptest.NewRecorder()
	s.fail(w, newRequest("GET", "/"), fmt.Errorf("read /data/picloud.db: SELECT broke"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "picloud.db") || !strings.Contains(log.String(), "picloud.db") {
		t.Errorf("got %d %s, log %s", w.Code, w.Body, log.String())
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"1": cloud.Errorf(cloud.Overloaded, "full"),
		"8": cloud.Errorf(cloud.RateLimited, "slowly").WithCause(wait(7100 * time.Millisecond)),
	} {
		w := httptest.NewRecorder()
		newServer(t, Options{}).fail(w, newRequest("GET", "/"), err)
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}

type wait time.Duration

func (wait) Error() string               { return "wait" }
func (w wait) RetryAfter() time.Duration { return time.Duration(w) }
