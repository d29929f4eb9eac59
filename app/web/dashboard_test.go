package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func TestDashboard(t *testing.T) {
	t.Parallel()
	d := dashboardOf(fstest.MapFS{
		"index.html":            {Data: []byte("<!doctype html>")},
		"favicon.svg":           {Data: []byte("<svg/>")},
		"assets/app-1a2b.js":    {Data: []byte("plain")},
		"assets/app-1a2b.js.br": {Data: []byte("brotli")},
		"assets/app-1a2b.js.gz": {Data: []byte("gzip")},
	})
	s := newServer(t, Options{})
	get := func(path string, header ...string) *http.Response {
		w := httptest.NewRecorder()
		d.serve(s, w, newRequest("GET", "http://pi"+path, header...))
		return w.Result()
	}
	for _, tt := range []struct {
		name, path, accept string
		status             int
		contentType, cache string
		encoding, length   string
	}{
		{"the page", "/admin/", "gzip", 200, "text/html; charset=utf-8", "no-cache", "", "15"},
		{"a page of the application", "/admin/apps/default/scripts", "", 200, "text/html; charset=utf-8", "no-cache", "", "15"},
		{"a file", "/admin/favicon.svg", "", 200, "image/svg+xml", "no-cache", "", "6"},
		{"an asset", "/admin/assets/app-1a2b.js", "", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "", "5"},
		{"an asset, brotli", "/admin/assets/app-1a2b.js", "gzip, br", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "br", ""},
		{"an asset, brotli refused", "/admin/assets/app-1a2b.js", "br;q=0, gzip;q=0.5", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "gzip", ""},
		{"an encoded file by its name", "/admin/assets/app-1a2b.js.br", "", 404, "application/json; charset=utf-8", "no-store", "", ""},
		{"an asset of an older build", "/admin/assets/app-0000.js", "", 404, "application/json; charset=utf-8", "no-store", "", ""},
		{"a file that isn't there", "/admin/robots.txt", "", 404, "application/json; charset=utf-8", "no-store", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res := get(tt.path, "Accept-Encoding", tt.accept)
			h := res.Header
			if res.StatusCode != tt.status || h.Get("Content-Type") != tt.contentType || h.Get("Cache-Control") != tt.cache || h.Get("Content-Encoding") != tt.encoding {
				t.Errorf("got %d %v", res.StatusCode, h)
			}
			if tt.length != "" && h.Get("Content-Length") != tt.length {
				t.Errorf("length: got %s, want %s", h.Get("Content-Length"), tt.length)
			}
			if !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("security headers: got %v", h)
			}
		})
	}
	t.Run("unchanged", func(t *testing.T) {
		t.Parallel()
		tag := get("/admin/").Header.Get("Etag")
		if res := get("/admin/", "If-None-Match", tag); tag == "" || res.StatusCode != http.StatusNotModified {
			t.Errorf("etag %q: got %d, want 304", tag, res.StatusCode)
		}
	})
	t.Run("without the slash", func(t *testing.T) {
		t.Parallel()
		if res := get("/admin"); res.StatusCode != http.StatusPermanentRedirect || res.Header.Get("Location") != "/admin/" {
			t.Errorf("got %d to %q", res.StatusCode, res.Header.Get("Location"))
		}
	})
}
