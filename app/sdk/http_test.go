package sdk

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/app/outbound"
)

// echo answers what it was asked, in the way that the path says.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	kinds := map[string]string{"/text": "text/plain", "/latin": "text/html; charset=ISO-8859-1", "/binary": "image/png", "/broken": "application/json", "/none": ""}
	kind, ok := kinds[r.URL.Path]
	if !ok {
		w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
		fmt.Fprintf(w, `{"method":%q,"query":%q,"type":%q,"list":%q,"body":%q}`, r.Method, r.URL.RawQuery, r.Header.Get("Content-Type"), strings.Join(r.Header["X-List"], "+"), body)
		return
	}
	w.Header()["Content-Type"] = []string{kind}
	if kind == "" {
		w.Header()["Content-Type"] = nil
	}
	w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
	switch r.URL.Path {
	case "/latin":
		w.Write([]byte("gr\xfc\xdfe"))
	case "/binary":
		w.Write([]byte{0xff, 0, 1})
	case "/broken":
		w.Write([]byte("{"))
	default:
		w.Write([]byte("words"))
	}
}

func withHTTP(t *testing.T, s *sandbox, f http.HandlerFunc) string {
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	allow, err := outbound.ParseAllow([]string{"127.0.0.1"})
	must(t, err)
	s.services.HTTP = outbound.New(outbound.Options{Allow: allow})
	t.Cleanup(s.services.HTTP.CloseIdle)
	s.begin(publicCall())
	return server.URL
}

func TestHTTP(t *testing.T) {
	onEngines(t, true, func(t *testing.T, s *sandbox) {
		at := withHTTP(t, s, echo)
		for _, tt := range []struct{ source, want string }{
			{`http.get(U + "/?a=1", {query: {b: [1, "x y"], c: null, d: true}}).body.query`, `"a=1&b=1&b=x%20y&d=true"`},
			{`http.get(U, {headers: {"X-List": ["a", 2]}}).body.list`, `"a+2"`},
			{`var b = http.post(U, {json: {a: 1}}).body; return b.method + " " + b.type + " " + b.body`, `"POST application/json {\"a\":1}"`},
			{`http.post(U, {json: null}).body.body`, `"null"`},
			{`http.post(U, {a: "b"}, {}).body.body`, `"{\"a\":\"b\"}"`},
			{`http.post(U, [1, 2]).body.body`, `"[1,2]"`},
			{`var b = http.put(U, "words").body; return b.type + " " + b.body`, `"text/plain; charset=utf-8 words"`},
			{`var b = http.put(U, {body: [104, 105]}).body; return b.type + " " + b.body`, `"application/octet-stream hi"`},
			{`var b = http.patch(U, {form: {b: "ü", a: 1}}).body; return b.type + " " + b.body`, `"application/x-www-form-urlencoded a=1&b=%C3%BC"`},
			{`http.patch(U, {json: 1, headers: {"content-type": "application/merge-patch+json"}}).body.type`, `"application/merge-patch+json"`},
			{`http["delete"](U).body.method`, `"DELETE"`},
			{`http.request({method: "put", url: U, body: "x"}).body.method`, `"PUT"`},
			{`http.request({url: U}).body.method`, `"GET"`},
			{`var r = http.get(U + "/text"); return [r.status, r.ok, r.body, r.is_base64 === undefined, r.redirected, r.url === U + "/text", r.headers["content-type"], r.headers["set-cookie"]]`,
				`[200,true,"words",true,false,true,"text/plain",["a=1","b=2"]]`},
			{`http.get(U + "/latin").body`, `"grüße"`},
			{`var r = http.get(U + "/binary"); return [r.body, r.is_base64]`, `["/wAB",true]`},
			{`http.get(U + "/none").body`, `"words"`},
			{`http.get(U + "/broken").body`, `"{"`},
			{`http.get(U + "/text", {as: "base64"}).body`, `"d29yZHM="`},
			{`http.get(U, {as: "text"}).body.slice(0, 10)`, `"{\"method\":"`},
		} {
			s.begin(publicCall())
			if !strings.Contains(tt.source, "return ") {
				tt.source = "return " + tt.source
			}
			if got := s.value("var U = " + `"` + at + `"; ` + tt.source); got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.source, got, tt.want)
			}
		}
	})
}

func TestHTTPRefuses(t *testing.T) {
	onEngines(t, true, func(t *testing.T, s *sandbox) {
		at := withHTTP(t, s, echo)
		for _, tt := range []struct{ source, want string }{
			{`http.get("http://10.0.0.1/")`, "forbidden: 10.0.0.1 is at a private address"},
			{`http.get("http://127.0.0.2:1/")`, "forbidden: 127.0.0.2 is at a loopback address"},
			{`http.get("ftp://a/")`, "invalid: the URL must begin with"},
			{`http.get()`, "invalid: the URL is undefined"},
			{`http.get(U, {timeuot: 1})`, "invalid: http.get has no option timeuot: there are headers, query,"},
			{`http.post(U, {a: 1})`, "invalid: http.post has no option a"},
			{`http.get(U, {method: "POST"})`, "invalid: http.get has no option method"},
			{`http.get(U, "x")`, "invalid: http.get takes its options as an object"},
			{`http.get(U, {timeout: 0})`, "invalid: timeout is a number of seconds"},
			{`http.get(U, {timeout: "1"})`, "invalid: the request: timeout must not be a string"},
			{`http.get(U, {headers: {Host: "a"}})`, "invalid: the header Host can't be set"},
			{`http.get(U, {headers: {a: "b\r\nc: d"}})`, "invalid: the value of the header a"},
			{`http.get(U, {headers: {a: {}}})`, "invalid: the header a must be"},
			{`http.get(U, {headers: {a: 0 / 0}})`, "invalid: headers: a is NaN"},
			{`http.get(U, {query: {a: [1, 1 / 0]}})`, "invalid: query: a is Infinity"},
			{`http.post(U, {form: {a: function () {}}})`, "invalid: form: a is a function"},
			{`http.get(U, {query: new RegExp("a")})`, "invalid: query: want a plain object"},
			{`http.get(U, {as: "xml"})`, "invalid: as is auto"},
			{`http.get(U + "/text", {as: "json"})`, "invalid: the answer (status 200, text/plain) is not JSON"},
			{`http.post(U, {json: 1, body: "x"})`, "invalid: a request has one body"},
			{`http.post(U, {body: {}})`, "invalid: the body must be a string or a list of bytes"},
			{`http.request()`, "invalid: http.request takes an object"},
			{`http.request({method: "CONNECT", url: U})`, "invalid: the method"},
			{`for (var i = 0; i < 51; i++) { http.get(U); }`, "budget_exceeded: more than 50 requests"},
		} {
			s.begin(publicCall())
			if got := s.thrown("var U = " + `"` + at + `"; ` + tt.source); !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s: got %s, want %s", tt.source, got, tt.want)
			}
		}
		inv := publicCall()
		inv.Request = &cloud.Request{Headers: map[string]string{"x-picloud-hops": "8"}}
		s.begin(inv)
		if got := s.thrown(`http.get("` + at + `")`); !strings.HasPrefix(got, "forbidden: this request would be number 9") {
			t.Errorf("a loop of requests: got %s", got)
		}
	})
}

// Who has called out can't run again: a conflict is its end.
func TestHTTPEndsReruns(t *testing.T) {
	onEngines(t, true, func(t *testing.T, s *sandbox) {
		at := withHTTP(t, s, func(http.ResponseWriter, *http.Request) {})
		inv := publicCall()
		s.begin(inv)
		s.value(`kv.collection("c").get("n"); http.get("` + at + `"); kv.collection("c").set("n", 1)`)
		first := s.call
		s.begin(inv)
		s.value(`kv.collection("c").set("n", 2)`)
		must(t, s.db.Update(t.Context(), s.call.Unit.Apply))
		err := s.db.Update(t.Context(), first.Unit.Apply)
		if _, again := FatalError(first.judge("test", err)); cloud.KindOf(err) != cloud.Conflict || again {
			t.Errorf("got %v, want a conflict that is final", err)
		}
	})
}

func FuzzHTTPOptions(f *testing.F) {
	f.Add(`{"method":"POST","url":"https://example.org","headers":{"a":["b",1]},"query":{"c":null},"json":{"d":1},"timeout":1.5}`)
	f.Add(`{"url":"http://a","body":[1,2,256]}`)
	f.Add(`{"url":"http://a","form":{"a":[[]]},"as":"text","redirect":"manual"}`)
	c := &Call{shared: &shared{}}
	client := outbound.New(outbound.Options{})
	f.Fuzz(func(t *testing.T, text string) {
		_, r, err := c.readRequest([]byte("[" + text + "]"))
		if err == nil {
			err = client.Prepare(r)
		}
		if err != nil {
			if k := cloud.KindOf(err); k != cloud.Invalid && k != cloud.TooLarge {
				t.Errorf("%s: %v", text, err)
			}
			return
		}
		for name, values := range r.Header {
			for _, v := range values {
				if strings.ContainsAny(name+v, "\r\n\x00") {
					t.Errorf("%s: the header %q: %q", text, name, v)
				}
			}
		}
	})
}

// An execution tells that it waits for another machine, and whether anybody waits for it.
func TestHTTPIsAway(t *testing.T) {
	onEngines(t, true, func(t *testing.T, s *sandbox) {
		var said []string
		s.services.Away = func(async bool) (back func()) {
			said = append(said, fmt.Sprint("away ", async))
			return func() { said = append(said, "back") }
		}
		at := withHTTP(t, s, func(http.ResponseWriter, *http.Request) { said = append(said, "asked") })
		inv := publicCall()
		inv.Async = true
		s.begin(inv)
		s.value(fmt.Sprintf("return http.get(%q).status", at))
		if got, want := strings.Join(said, ", "), "away true, asked, back"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
