package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkIngress is everything between the HTTP server and the outbox, and back.
func BenchmarkIngress(b *testing.B) {
	w := newWorld(b)
	w.must(201, "POST", admin+"/apps", `{"slug":"shop"}`)
	w.script("shop", "hello", `export default () => "hello"`, "/hello")
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rec := httptest.NewRecorder()
			if w.handler.ServeHTTP(rec, newRequest("GET", "http://pi.local/hello", "Accept", "*/*", "User-Agent", "bench")); rec.Code != http.StatusOK {
				b.Fatal(rec.Code, rec.Body)
			}
		}
	})
	b.Run("post", func(b *testing.B) {
		b.ReportAllocs()
		body := `{"name":"` + strings.Repeat("x", 1000) + `"}`
		for b.Loop() {
			r := httptest.NewRequest("POST", "http://pi.local/hello?a=1", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			rec := httptest.NewRecorder()
			if w.handler.ServeHTTP(rec, r); rec.Code != http.StatusOK {
				b.Fatal(rec.Code, rec.Body)
			}
		}
	})
}
