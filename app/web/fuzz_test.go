package web

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"picloud/app/cloud"
)

// TestHostileBodies sends every admin write bodies that are made from its schema and then
// bent: whatever arrives is answered, and never by a 5xx. PICLOUD_LONG=1 tries more.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	rounds := 12
	if os.Getenv("PICLOUD_LONG") != "" {
		rounds = 1000
	}
	w := newWorld(t)
	_, script, route := w.app("shop")
	var doc struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct{ Schema schemaDoc }
			}
		}
		Components struct{ Schemas map[string]schemaDoc }
	}
	if err := json.Unmarshal(w.openapi, &doc); err != nil {
		t.Fatal(err)
	}
	g := &generator{Rand: rand.New(rand.NewPCG(1, 2)), components: doc.Components.Schemas, ids: []string{script, route}}
	tried := 0
	for i := range w.endpoints {
		e := &w.endpoints[i]
		if !e.hasBody() || e.path == "/execute/{id}" || strings.HasPrefix(e.path, "/admin/auth/") {
			continue // executions have tests of their own, logins are slowed
		}
		schema := doc.Paths[apiPrefix+plainPath(e.path)][strings.ToLower(e.method)].RequestBody.Content["application/json"].Schema
		id := cloud.NewID[cloud.RowID]().String()
		if strings.Contains(e.path, "/scripts/{id}") {
			id = script
		}
		path := strings.NewReplacer("{app}", "shop", "{id}", id, "{user_id}", id, "{collection}", "c", "{key...}", "k").Replace(e.path)
		for range rounds {
			body, _ := json.Marshal(g.value(schema, 0))
			a := w.do(w.owner, e.method, apiPrefix+path, g.bend(string(body)))
			if a.Code >= 500 {
				t.Errorf("%s %s with %s: got %d %s", e.method, e.path, body, a.Code, a.Body)
			}
			if e.path == "/admin/apps/{app}" && a.Code == 200 { // renamed
				w.must(200, "PATCH", admin+"/apps/"+a.text("id"), `{"slug":"shop"}`)
			}
			tried++
		}
	}
	if tried == 0 {
		t.Error("nothing was tried")
	}
}

// schemaDoc is the part of JSON Schema that openAPI writes.
type schemaDoc struct {
	Ref        string `json:"$ref"`
	Type       any
	Enum       []string
	Format     string
	Properties map[string]schemaDoc
	Items      *schemaDoc
}

type generator struct {
	*rand.Rand
	components map[string]schemaDoc
	ids        []string
}

// odd are values that nobody expects.
var odd = []any{nil, "", " ", "a", "\x00", "%", "💥", "../..", "'; --", strings.Repeat("x", 5000), -1, 0, 1.5, 1e308, true, []any{}, []any{nil}, map[string]any{}, "9999-12-31T23:59:59Z"}

func (g *generator) value(s schemaDoc, depth int) any {
	if s.Ref != "" {
		s = g.components[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	if depth > 4 || g.IntN(5) == 0 {
		return odd[g.IntN(len(odd))]
	}
	switch {
	case len(s.Enum) > 0:
		return s.Enum[g.IntN(len(s.Enum))]
	case s.Format == "uuid":
		return g.ids[g.IntN(len(g.ids))]
	case s.Format == "date-time":
		return "2030-01-01T00:00:00Z"
	}
	switch s.Type {
	case "object":
		o := map[string]any{}
		for name, p := range s.Properties {
			if g.IntN(4) > 0 {
				o[name] = g.value(p, depth+1)
			}
		}
		return o
	case "array":
		return []any{g.value(*s.Items, depth+1)}
	case "integer", "number":
		return g.IntN(1000) - 5
	case "boolean":
		return g.IntN(2) == 0
	}
	return []string{"default", "GET", "/a/:b", "/x", "*", "export default () => 1", "abc-def", "a long enough password"}[g.IntN(8)]
}

// bend breaks one body in four.
func (g *generator) bend(body string) string {
	switch at := g.IntN(len(body) + 1); g.IntN(12) {
	case 0:
		return body[:at]
	case 1:
		return body[:at] + "\xff" + body[at:]
	case 2:
		return body + body
	}
	return body
}

// FuzzCredentials: no cookie and no key is an error of ours, and none gets in.
func FuzzCredentials(f *testing.F) {
	w := newWorld(f)
	key := w.key(w.owner, `{"name":"k","scopes":["script:read"]}`)
	f.Add("Bearer "+key.key+"x", w.owner.session+"x")
	f.Add("Bearer pic_", "")
	f.Add("bearer \x00", "\"")
	f.Add("", "AAAA")
	f.Fuzz(func(t *testing.T, authorization, cookie string) {
		r := newRequest("GET", "http://pi.local"+admin+"/auth/me")
		if authorization != "" {
			r.Header["Authorization"] = []string{authorization}
		}
		r.Header["Cookie"] = []string{sessionCookie + "=" + cookie}
		if authorization == "" && cookie == w.owner.session || strings.Contains(authorization, key.key) {
			t.Skip("the real one")
		}
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		if rec.Code != 401 {
			t.Errorf("got %d %s", rec.Code, rec.Body)
		}
	})
}

// FuzzCursor: every list takes any cursor and any limit without an error of ours.
func FuzzCursor(f *testing.F) {
	w := newWorld(f)
	w.app("shop")
	var lists []string
	for i := range w.endpoints {
		e := &w.endpoints[i]
		fields := fieldsOf(e.run.in)
		if e.method == "GET" && slices.ContainsFunc(fields, func(f field) bool { return f.name == "cursor" }) && !strings.Contains(e.path, "{id}") {
			lists = append(lists, apiPrefix+strings.NewReplacer("{app}", "shop", "{collection}", "c").Replace(e.path))
		}
	}
	if len(lists) < 10 {
		f.Fatalf("only %d lists: %v", len(lists), lists)
	}
	f.Add("AAAAAAAAAAAAAAAAAAAAAA", "1")
	f.Add("", "200")
	f.Add("\x00/+=", "-1")
	f.Add("_____________________w", "x")
	f.Add("eyJrIjoiYSJ9", "50")
	f.Fuzz(func(t *testing.T, cursor, limit string) {
		for _, path := range lists {
			r := newRequest("GET", "http://pi.local"+path)
			q := r.URL.Query()
			q.Set("cursor", cursor)
			q.Set("limit", limit)
			r.URL.RawQuery = q.Encode()
			r.AddCookie(&http.Cookie{Name: sessionCookie, Value: w.owner.session})
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, r)
			if rec.Code != 200 && rec.Code != 400 {
				t.Errorf("%s: got %d %s", path, rec.Code, rec.Body)
			}
		}
	})
}

// FuzzPath: whatever the path, nobody unknown reaches the admin API, and nothing breaks.
func FuzzPath(f *testing.F) {
	w := newWorld(f)
	w.app("shop")
	for _, p := range []string{"/shop", "//api/v1/admin/apps", "/%61pi/v1/admin/apps", "/~shop/../admin/x", "/api/v1/admin/apps/%2e%2e", "/~shop/shop", "/\x00", "/a;b", "/%"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r := newRequest("GET", "http://pi.local/")
		u, err := r.URL.Parse("http://pi.local/" + strings.TrimPrefix(path, "/"))
		if err != nil {
			t.Skip("not a URL")
		}
		r.URL = u
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		if rec.Code >= 500 {
			t.Errorf("got %d %s", rec.Code, rec.Body)
		}
		if strings.Contains(rec.Body.String(), `"items"`) {
			t.Errorf("a list for the public: %s", rec.Body)
		}
	})
}

// FuzzHeaders: whatever a client and the proxies on its way write, the address that counts is
// the last one that no trusted proxy vouches for, and nothing breaks.
func FuzzHeaders(f *testing.F) {
	w := newWorld(f, func(o *Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	})
	w.app("shop")
	f.Add("10.0.0.1:80", "1.2.3.4, 10.0.0.2", "a.org", "https", "br;q=1, gzip;q=0", "http://a.org")
	f.Add("[fd00::1%eth0]:80", "[::1]:80", "a, b", "", "*;q=NaN", "null")
	f.Add("1.2.3.4:5", "10.0.0.1", "", "", "", "://")
	f.Add("@", ",,", "\x00", "HTTPS", ";;=", "http://[")
	f.Fuzz(func(t *testing.T, remote, forwardedFor, forwardedHost, proto, accept, origin string) {
		r := newRequest("GET", "http://pi.local/admin/")
		r.RemoteAddr = remote
		r.Header = http.Header{
			"X-Forwarded-For": {forwardedFor}, "X-Forwarded-Host": {forwardedHost}, "X-Forwarded-Proto": {proto},
			"Accept-Encoding": {accept}, "Origin": {origin}, "If-None-Match": {accept}, "Range": {origin},
		}
		address, err := netip.ParseAddr(w.clientAddress(r))
		if p := peer(r); p.IsValid() && (err != nil || !w.trusted(p) && address != p) {
			t.Errorf("the peer %v with %q is %v (%v)", p, forwardedFor, address, err)
		}
		for _, path := range []string{"/admin/", "/~shop/", admin + "/auth/me"} {
			r.URL.Path = path
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, r)
			if rec.Code >= 500 {
				t.Errorf("%s: got %d %s", path, rec.Code, rec.Body)
			}
		}
	})
}

// FuzzDeploy: no project is an error of ours, and a plan changes nothing.
func FuzzDeploy(f *testing.F) {
	w := newWorld(f)
	w.app("shop")
	for _, body := range []string{
		`{"functions":[{"name":"a","source":"export default () => 1","file":"a.js","routes":[{"path":"/a","method":"GET"}]}]}`,
		`{"functions":[{"name":"../a","source":"","file":"../../a.js","triggers":[{"kind":"cron","schedule":"* * * * *"}]}],"prune":true,"note":"x"}`,
		`{"functions":[{"name":"m","kind":"module","source":"export const a = 1"},{"name":"a","source":"import { a } from 'app:m'; export default () => a"}]}`,
		`{"functions":[{"name":"a","source":"x","triggers":[{"kind":"kv"},null,[]]},{"name":"a","source":"x"}]}`,
		`{"functions":null}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", "http://pi.local"+admin+"/apps/shop/deploy/plan", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Origin", "http://pi.local")
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: w.owner.session})
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		if rec.Code >= 500 || rec.Code == 404 {
			t.Errorf("%s: got %d %s", body, rec.Code, rec.Body)
		}
	})
}
