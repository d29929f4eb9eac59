package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"picloud/app/cloud"
)

// listener is a subscriber on a real connection.
type listener struct {
	testing.TB
	*http.Response
	lines *bufio.Scanner
}

// listen subscribes, and fails unless the answer has that status.
func (w *world) listen(server *httptest.Server, status int, path string, header ...string) *listener {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		w.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != status {
		w.Fatalf("%s: got %d, want %d", path, resp.StatusCode, status)
	}
	return &listener{w, resp, bufio.NewScanner(resp.Body)}
}

// next is the next event: its name, id and data. At the end of the stream all are empty.
func (l *listener) next() (name, id, text string) {
	for l.lines.Scan() {
		field, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch field {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			text = value
		case "":
			if value == "" && (name != "" || id != "" || text != "") {
				return name, id, text
			}
		}
	}
	return "", "", ""
}

func (w *world) openTopic(topic, body string) {
	w.Helper()
	if a := w.do(w.owner, "PUT", "/api/v1/admin/apps/shop/topics/"+topic, body); a.Code != 200 {
		w.Fatalf("topic: %d %s", a.Code, a.Body)
	}
}

func (w *world) say(topic, message string) {
	w.Helper()
	if a := w.do(w.owner, "POST", "/api/v1/admin/apps/shop/topics/"+topic+"/messages", `{"message":`+message+`}`); a.Code != 201 {
		w.Fatalf("publish: %d %s", a.Code, a.Body)
	}
}

func newStation(tb testing.TB) (w *world, server *httptest.Server, app cloud.AppID) {
	tb.Helper()
	w = newWorld(tb)
	a := w.do(w.owner, "POST", "/api/v1/admin/apps", `{"slug":"shop"}`)
	app, err := cloud.ParseID[cloud.AppID](a.text("id"))
	if err != nil {
		tb.Fatal(err)
	}
	server = httptest.NewUnstartedServer(nil)
	w.ConfigureServer(server.Config)
	server.Start()
	tb.Cleanup(server.Close)
	tb.Cleanup(w.EndStreams)
	return w, server, app
}

func TestRealtime(t *testing.T) {
	t.Parallel()
	w, server, _ := newStation(t)
	w.listen(server, 404, "/~shop/realtime/topics/orders")
	w.openTopic("orders", `{"external_subscribable":false,"auth_mode":"public"}`)
	w.listen(server, 404, "/~shop/realtime/topics/orders")
	w.openTopic("orders", `{"external_subscribable":true,"auth_mode":"public"}`)
	w.listen(server, 404, "/~nobody/realtime/topics/orders")
	w.listen(server, 404, "/~shop/realtime/orders")
	w.listen(server, 404, "/~shop/realtime/topics/")

	bySlug := w.listen(server, 200, "/~shop/realtime/topics/orders", "Origin", "https://elsewhere.example")
	byHost := w.listen(server, 200, "/realtime/topics/orders")
	if h := bySlug.Header; h.Get("Content-Type") != "text/event-stream" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("headers: got %v", h)
	}
	w.say("orders", `{"n": 1,`+"\n"+`"text": "a\nb"}`)
	var first string
	for _, l := range []*listener{bySlug, byHost} {
		name, id, text := l.next()
		var m struct {
			Topic       string
			Message     struct{ N int }
			PublishedAt string `json:"published_at"`
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil || name != "" || m.Topic != "orders" || m.Message.N != 1 || m.PublishedAt == "" {
			t.Errorf("got %q %q, %v", name, text, err)
		}
		first = id
	}
	w.say("orders", "2")
	w.say("orders", "3")
	again := w.listen(server, 200, "/~shop/realtime/topics/orders", "Last-Event-ID", first)
	for _, want := range []string{"2", "3"} {
		if _, _, text := again.next(); !strings.Contains(text, `"message":`+want+`,`) {
			t.Errorf("replay: got %q, want %s", text, want)
		}
	}
	lost := w.listen(server, 200, "/~shop/realtime/topics/orders", "Last-Event-ID", "of-another.life")
	if name, _, _ := lost.next(); name != "gap" {
		t.Errorf("a gap: got %q", name)
	}
	w.openTopic("orders", `{"external_subscribable":true,"auth_mode":"token"}`)
	for name := "-"; name != "end"; {
		if name, _, _ = bySlug.next(); name == "" && bySlug.lines.Err() != nil {
			t.Fatal("the stream ended without a word")
		}
	}
	w.listen(server, 401, "/~shop/realtime/topics/orders")
}

// An HTTP/2 connection carries more than one stream and can't be taken from the server.
func TestRealtimeOverHTTP2(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.do(w.owner, "POST", "/api/v1/admin/apps", `{"slug":"shop"}`)
	server := httptest.NewUnstartedServer(nil)
	server.EnableHTTP2 = true
	w.ConfigureServer(server.Config)
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(w.EndStreams)
	w.openTopic("orders", `{"external_subscribable":true,"auth_mode":"public"}`)
	first := w.listen(server, 200, "/~shop/realtime/topics/orders")
	second := w.listen(server, 200, "/~shop/realtime/topics/orders")
	if first.ProtoMajor != 2 {
		t.Fatalf("got %s", first.Proto)
	}
	w.say("orders", "1")
	for _, l := range []*listener{first, second} {
		if _, _, text := l.next(); !strings.Contains(text, `"message":1,`) {
			t.Errorf("got %q", text)
		}
	}
}

func TestRealtimeTokens(t *testing.T) {
	t.Parallel()
	w, server, app := newStation(t)
	w.openTopic("orders%2Fnew", `{"external_subscribable":true}`)
	token := func(topic string, ttl float64) string {
		tok, err := w.Data.SubscriberToken(app, []string{topic}, ttl, w.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	const path = "/~shop/realtime/topics/orders/new"
	l := w.listen(server, 200, path, "Authorization", "Bearer "+token("orders/*", 60))
	w.listen(server, 200, path+"?token="+token("orders/new", 60))
	w.listen(server, 401, path)
	w.listen(server, 401, path+"?token="+token("orders", 60))
	w.listen(server, 401, path, "Authorization", "Bearer "+w.owner.session)
	old := token("*", 10)
	w.clock.advance(11 * time.Second)
	w.listen(server, 401, path+"?token="+old)
	w.say("orders%2Fnew", "1")
	if _, _, text := l.next(); !strings.Contains(text, `"message":1`) {
		t.Errorf("got %q", text)
	}
}

func TestRealtimeMethods(t *testing.T) {
	t.Parallel()
	w, _, _ := newStation(t)
	w.openTopic("a", `{"external_subscribable":true,"auth_mode":"public"}`)
	if a := w.do(credential{}, "OPTIONS", "/~shop/realtime/topics/a", ""); a.Code != 204 || !strings.Contains(a.Header().Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("preflight: got %d %v", a.Code, a.Header())
	}
	if a := w.do(credential{}, "POST", "/~shop/realtime/topics/a", "{}"); a.Code != 405 {
		t.Errorf("POST: got %d", a.Code)
	}
	if a := w.do(credential{}, "HEAD", "/~shop/realtime/topics/a", ""); a.Code != 200 || a.Body.Len() != 0 {
		t.Errorf("HEAD: got %d %s", a.Code, a.Body)
	}
}

func TestBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b beats
		b.join()
		b.join()
		first := b.next()
		time.Sleep(topicHeartbeat)
		<-first
		second := b.next()
		b.leave()
		time.Sleep(topicHeartbeat)
		<-second
		b.leave()
		time.Sleep(10 * topicHeartbeat) // a timer that still ran would be left over
		b.join()
		<-b.next()
		b.leave()
	})
}

// BenchmarkFanOut is one message to many subscribers on loopback connections.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w, server, app := newStation(b)
			w.openTopic("a", `{"external_subscribable":true,"auth_mode":"public"}`)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			heard := make(chan struct{}, n)
			for range n {
				l := w.listen(server, 200, "/~shop/realtime/topics/a")
				go func() {
					for {
						if _, id, _ := l.next(); id == "" {
							return
						}
						select {
						case heard <- struct{}{}:
						case <-ctx.Done():
							return
						}
					}
				}()
			}
			for b.Loop() {
				if _, err := w.Data.Publish(ctx, cloud.Origin{App: app}, "a", json.RawMessage(`{"temperature":21.5}`)); err != nil {
					b.Fatal(err)
				}
				for range n {
					<-heard
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
