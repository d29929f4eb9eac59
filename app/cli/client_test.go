package cli

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"picloud/app/cloud"
)

func TestInstanceURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"http://pi:8080", "http://pi:8080"},
		{"https://Pi.Example.ORG/", "https://pi.example.org"},
		{"http://[::1]:8080", "http://[::1]:8080"},
		{"pi:8080", ""},
		{"pi.example.org", ""},
		{"ftp://pi", ""},
		{"http://", ""},
		{"http://pi/admin/", ""},
		{"http://pi/?a=1", ""},
		{"http://pi/#a", ""},
		{"http://ann:secret@pi", ""},
		{"http://pi:port", ""},
	} {
		got, err := instanceURL(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: got %q, %v, want %q", tt.in, got, err, tt.want)
		}
		if err != nil && (!errors.As(err, new(usageError)) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: got %v, want a usage error without secrets", tt.in, err)
		}
	}
}

func TestSendsInClear(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]bool{
		"http://pi:8080": true, "http://192.0.2.1": true, "https://pi": false,
		"http://localhost:8080": false, "http://127.0.0.1": false, "http://[::1]:80": false,
	} {
		if got := sendsInClear(base); got != want {
			t.Errorf("%s: got %v, want %v", base, got, want)
		}
	}
}

func TestClientErrors(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed: it would carry the password along")
	}))
	t.Cleanup(elsewhere.Close)
	answer := func(status int, media, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
		kind cloud.Kind
		want string
	}{
		{"refused", answer(401, "application/json; charset=utf-8", `{"error":{"code":"unauthenticated","message":"the password is wrong"}}`), cloud.Unauthenticated, "says: the password is wrong"},
		{"throttled", answer(429, "application/json", `{"error":{"code":"rate_limited","message":"wait 3 s"}}`), cloud.RateLimited, "wait 3 s"},
		{"moved", answer(307, "text/html", "moved"), cloud.Internal, "sends elsewhere (" + elsewhere.URL},
		{"another server's 404", answer(404, "text/html", "<h1>not found</h1>"), cloud.Internal, "does not answer like a PiCloud instance (status 404)"},
		{"another server's JSON", answer(500, "application/json", `{"message":"no"}`), cloud.Internal, "does not answer like a PiCloud instance"},
		{"another server's page", answer(200, "text/html", "<h1>welcome</h1>"), cloud.Internal, "does not answer like a PiCloud instance"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.h)
			defer server.Close()
			var out map[string]any
			err := (&client{base: server.URL}).call(t.Context(), "POST", "/auth/login", map[string]string{"password": "hush"}, &out)
			if cloud.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v (%s), want %q (%s)", err, cloud.KindOf(err), tt.want, tt.kind)
			}
		})
	}
}
