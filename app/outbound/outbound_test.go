package outbound

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"picloud/app/cloud"
)

// client may call loopback, as an operator may allow.
func client(t *testing.T, o Options, allow ...string) *Client {
	t.Helper()
	if len(allow) == 0 {
		allow = []string{"127.0.0.0/8"}
	}
	var err error
	if o.Allow, err = ParseAllow(allow); err != nil {
		t.Fatal(err)
	}
	c := New(o)
	t.Cleanup(c.CloseIdle)
	return c
}

func server(t *testing.T, f http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s
}

// get prepares and sends a request.
func (c *Client) get(t *testing.T, address string, set ...func(*Request)) (*Response, error) {
	t.Helper()
	u, err := ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	r := &Request{URL: u, Header: http.Header{}}
	for _, f := range set {
		f(r)
	}
	if err := c.Prepare(r); err != nil {
		return nil, err
	}
	return c.Do(t.Context(), cloud.AppID{1}, r)
}

func wantKind(t *testing.T, err error, want cloud.Kind, part string) {
	t.Helper()
	if cloud.KindOf(err) != want || !strings.Contains(cloud.Message(err), part) {
		t.Errorf("got %v (%s), want %s with %q", err, cloud.KindOf(err), want, part)
	}
}

func TestDo(t *testing.T) {
	t.Parallel()
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", fmt.Sprint(r.Method, " ", r.URL.RawQuery, " ", r.Header.Get("X-A"), " ", r.UserAgent(), " ", r.Header.Get(HopHeader)))
		w.WriteHeader(418)
		w.Write(body)
	})
	c := client(t, Options{})
	res, err := c.get(t, s.URL+"/p?q=1", func(r *Request) {
		r.Method, r.Body, r.Hops = "post", []byte("hi"), 2
		r.Header.Set("X-A", "a")
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(res.Status, string(res.Body), res.Header.Get("X-Seen"), res.Redirected), "418hiPOST q=1 a PiCloud 3false"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRefusedWithoutPermission(t *testing.T) {
	t.Parallel()
	var reached atomic.Bool
	s := server(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	c := New(Options{})
	for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "0.0.0.0", "[::]", "[::1]"} {
		_, err := c.get(t, "http://"+host+":"+port+"/")
		wantKind(t, err, cloud.Forbidden, "which scripts may not call")
	}
	if reached.Load() {
		t.Error("a request reached the server")
	}
}

// An app's permission is its own, also on connections that are kept, and ends with the list.
func TestPermissionIsPerApp(t *testing.T) {
	t.Parallel()
	s := server(t, func(w http.ResponseWriter, _ *http.Request) {})
	ours, theirs := cloud.AppID{1}, cloud.AppID{2}
	var list atomic.Pointer[[]string]
	list.Store(&[]string{"127.0.0.1"})
	c := New(Options{AllowOf: func(app cloud.AppID) []string {
		if app == ours {
			return *list.Load()
		}
		return nil
	}})
	do := func(app cloud.AppID) error {
		u, err := ParseURL(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		r := &Request{URL: u}
		if err := c.Prepare(r); err != nil {
			t.Fatal(err)
		}
		_, err = c.Do(t.Context(), app, r)
		return err
	}
	if err := do(ours); err != nil {
		t.Fatal(err)
	}
	wantKind(t, do(theirs), cloud.Forbidden, "")
	list.Store(&[]string{})
	wantKind(t, do(ours), cloud.Forbidden, "")
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	var last atomic.Pointer[http.Header]
	other := server(t, func(w http.ResponseWriter, r *http.Request) { last.Store(&r.Header) })
	var s *httptest.Server
	s = server(t, func(w http.ResponseWriter, r *http.Request) {
		last.Store(&r.Header)
		switch r.URL.Path {
		case "/once":
			http.Redirect(w, r, "/end", http.StatusFound)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/other":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/metadata":
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
		case "/file":
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(302)
		case "/user":
			w.Header().Set("Location", strings.Replace(s.URL, "//", "//a:b@", 1))
			w.WriteHeader(302)
		}
	})
	c := client(t, Options{})
	secret := func(r *Request) {
		r.Header.Set("Authorization", "Bearer s")
		r.Header.Set("X-Api-Key", "s")
		r.Header.Set("Accept", "text/plain")
	}
	res, err := c.get(t, s.URL+"/once", secret)
	if err != nil || !res.Redirected || res.URL != s.URL+"/end" || last.Load().Get("X-Api-Key") != "s" || last.Load().Get("Referer") != "" {
		t.Errorf("once: got %+v %v %v", res, err, *last.Load())
	}
	if _, err = c.get(t, s.URL+"/other", secret); err != nil || last.Load().Get("X-Api-Key")+last.Load().Get("Authorization") != "" || last.Load().Get("Accept") != "text/plain" {
		t.Errorf("another origin: got %v %v", err, *last.Load())
	}
	res, err = c.get(t, s.URL+"/once", func(r *Request) { r.Redirect = Manual })
	if err != nil || res.Status != 302 || res.Header.Get("Location") != "/end" {
		t.Errorf("manual: got %+v %v", res, err)
	}
	_, err = c.get(t, s.URL+"/once", func(r *Request) { r.Redirect = Refuse })
	wantKind(t, err, cloud.Unreachable, "redirects")
	_, err = c.get(t, s.URL+"/loop")
	wantKind(t, err, cloud.Unreachable, "more than 5 times")
	_, err = c.get(t, s.URL+"/metadata")
	wantKind(t, err, cloud.Forbidden, "link-local")
	_, err = c.get(t, s.URL+"/file")
	wantKind(t, err, cloud.Forbidden, "http:// or https://")
	_, err = c.get(t, s.URL+"/user")
	wantKind(t, err, cloud.Forbidden, "user name")
}

func TestBounds(t *testing.T) {
	t.Parallel()
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			z.Write(make([]byte, 1<<20))
			z.Close()
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		case "/long":
			w.Header().Set("Content-Length", "1000000")
			w.Write(make([]byte, 1000000))
		case "/headers":
			w.Header().Set("X-Large", strings.Repeat("x", maxHeaderBytes+4096))
		case "/slow":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/ok":
			w.Write(make([]byte, 1000))
		}
	})
	c := client(t, Options{MaxRequest: 10, MaxResponse: 1000, MaxHops: 3})
	if res, err := c.get(t, s.URL+"/ok"); err != nil || len(res.Body) != 1000 {
		t.Errorf("just as large as can be: %v", err)
	}
	for _, path := range []string{"/bomb", "/endless", "/long"} {
		_, err := c.get(t, s.URL+path)
		wantKind(t, err, cloud.TooLarge, "more than 1000 bytes")
	}
	_, err := c.get(t, s.URL+"/headers")
	wantKind(t, err, cloud.Unreachable, "")
	_, err = c.get(t, s.URL+"/slow", func(r *Request) { r.Timeout = 50 * time.Millisecond })
	wantKind(t, err, cloud.Timeout, "within 50ms")
	_, err = c.get(t, s.URL+"/", func(r *Request) { r.Method, r.Body = "PUT", make([]byte, 11) })
	wantKind(t, err, cloud.TooLarge, "11 bytes")
	_, err = c.get(t, s.URL+"/", func(r *Request) { r.Hops = 3 })
	wantKind(t, err, cloud.Forbidden, "number 4 in a chain")
	_, err = c.get(t, s.URL+"/", func(r *Request) { r.Header.Set("X-A", strings.Repeat("a", MaxHeaders)) })
	wantKind(t, err, cloud.TooLarge, "headers")
}

func TestPrepareRefuses(t *testing.T) {
	t.Parallel()
	c := client(t, Options{})
	for name, set := range map[string]func(*Request){
		"connect":        func(r *Request) { r.Method = "CONNECT" },
		"method":         func(r *Request) { r.Method = "GET /x HTTP/1.1\r\n" },
		"body of a get":  func(r *Request) { r.Body = []byte("x") },
		"timeout":        func(r *Request) { r.Timeout = time.Hour },
		"redirect":       func(r *Request) { r.Redirect = "perhaps" },
		"host":           func(r *Request) { r.Header.Set("Host", "a") },
		"length":         func(r *Request) { r.Header.Set("Content-Length", "1") },
		"hops":           func(r *Request) { r.Header.Set(HopHeader, "0") },
		"name":           func(r *Request) { r.Header["a b"] = []string{"c"} },
		"line in header": func(r *Request) { r.Header.Set("X-A", "a\r\nX-B: b") },
	} {
		_, err := c.get(t, "http://127.0.0.1:1/", set)
		if cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	for _, u := range []string{"", "/a", "ftp://a/", "file:///etc/passwd", "http://", "http://a:b@c/", "http://a:0/", "http://a:99999/", "http://a b/", "//a/b", "http://" + strings.Repeat("a", MaxURL)} {
		if _, err := ParseURL(u); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%q: got %v, want invalid", u, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	c := client(t, Options{})
	_, err = c.get(t, "http://"+closed+"/?token=hidden")
	wantKind(t, err, cloud.Unreachable, "127.0.0.1 refused the connection")
	if strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v tells the query", err)
	}
	tls := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	t.Cleanup(tls.Close)
	_, err = c.get(t, tls.URL)
	wantKind(t, err, cloud.Unreachable, "authority")
	s := server(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		conn.Close()
	})
	_, err = c.get(t, s.URL)
	wantKind(t, err, cloud.Unreachable, "closed the connection")
	_, err = c.get(t, strings.Replace(s.URL, "http:", "https:", 1))
	wantKind(t, err, cloud.Unreachable, "")
}

func TestCancelledIsTheCallers(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	c := client(t, Options{})
	u, _ := ParseURL(s.URL)
	r := &Request{URL: u}
	if err := c.Prepare(r); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(ctx, cloud.AppID{1}, r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// The proxies of the environment are not asked: they would connect past the guard.
func TestNoProxy(t *testing.T) {
	var asked atomic.Bool
	proxy := server(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	s := server(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("direct")) })
	c := client(t, Options{})
	res, err := c.get(t, s.URL)
	if err != nil || string(res.Body) != "direct" || asked.Load() {
		t.Errorf("got %v %v, proxy asked: %v", res, err, asked.Load())
	}
}

// names is a DNS server on loopback: each question gets the next of its answers, the last one
// again and again.
type names struct {
	answers [][]string
	asked   atomic.Int64
}

// resolver asks the names and nobody else.
func (n *names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if b := n.answer(bytes.Clone(buf[:size])); b != nil {
				conn.WriteTo(b, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func (n *names) answer(question []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(question) != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}
	m.Additionals = nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		i := min(int(n.asked.Add(1)), len(n.answers)) - 1
		for _, text := range n.answers[i] {
			a := [4]byte(net.ParseIP(text).To4())
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
				Body:   &dnsmessage.AResource{A: a},
			})
		}
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// A name that is harmless at the first look and 127.0.0.1 at the second reaches nothing: the
// address that is looked at is the one that is connected to. 127.0.0.2 plays the open internet.
func TestRebinding(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "0.0.0.0:0") // whatever loopback address is connected to
	if err != nil {
		t.Skip("no second loopback address:", err)
	}
	var reached atomic.Pointer[string]
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local := r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()
		reached.Store(&local)
		w.Header().Set("Connection", "close")
	})}}
	s.Start()
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	n := &names{answers: [][]string{{"127.0.0.2"}, {"127.0.0.1"}, {"10.0.0.1", "127.0.0.1"}, {"127.0.0.1", "127.0.0.2"}}}
	c := client(t, Options{Resolver: n.resolver(t)}, "127.0.0.2")
	at := "http://rebind.test:" + port + "/"
	if _, err := c.get(t, at); err != nil {
		t.Fatal(err)
	}
	_, err = c.get(t, at)
	wantKind(t, err, cloud.Forbidden, "rebind.test is at a loopback address")
	_, err = c.get(t, at)
	wantKind(t, err, cloud.Forbidden, "address")
	if _, err = c.get(t, at); err != nil { // of two addresses only the allowed one is used
		t.Error(err)
	}
	if got := *reached.Load(); got != "127.0.0.2:"+port {
		t.Errorf("reached %s", got)
	}
	// A host that the operator allows by name may be anywhere.
	c = client(t, Options{Resolver: n.resolver(t)}, "rebind.test")
	if _, err := c.get(t, at); err != nil {
		t.Error(err)
	}
}
