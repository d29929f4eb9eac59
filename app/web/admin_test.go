package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
)

func TestSetup(t *testing.T) {
	t.Parallel()
	w := newEmptyWorld(t)
	if a := w.must(200, "GET", admin+"/auth/setup", ""); a.body["needed"] != true {
		t.Errorf("without an owner: got %s", a.Body)
	}
	w.must(401, "GET", admin+"/apps", "")
	token, err := w.Control.SetupToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body := func(token string) string {
		return `{"token":"` + token + `","username":"ann","password":"` + password + `"}`
	}
	if a := w.do(credential{}, "POST", admin+"/auth/setup", body("guessed")); a.Code != 401 && a.Code != 403 {
		t.Errorf("a guessed token: got %d %s", a.Code, a.Body)
	}
	a := w.must(201, "POST", admin+"/auth/setup", body(token))
	if a.text("instance_role") != "owner" || len(a.Result().Cookies()) != 1 {
		t.Fatalf("got %s %v", a.Body, a.Header())
	}
	w.must(200, "GET", admin+"/auth/me", "", credential{session: a.Result().Cookies()[0].Value})
	if a := w.must(200, "GET", admin+"/auth/setup", ""); a.body["needed"] != false {
		t.Errorf("with an owner: got %s", a.Body)
	}
	w.must(409, "POST", admin+"/auth/setup", body(token))
}

func TestSessionLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.do(credential{}, "POST", admin+"/auth/login", `{"username":"owner","password":"`+password+`"}`)
	c := a.Result().Cookies()[0]
	if a.Code != 200 || a.text("username") != "owner" || a.text("instance_role") != "owner" || a.text("via") != "session" {
		t.Fatalf("login: got %d %s", a.Code, a.Body)
	}
	if c.Name != sessionCookie || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Secure || c.MaxAge != 3600 {
		t.Errorf("cookie: got %+v", c)
	}
	me := credential{session: c.Value}
	w.must(200, "GET", admin+"/auth/me", "", me)

	list := w.must(200, "GET", admin+"/auth/sessions", "", me)
	current := 0
	for _, s := range list.body["items"].([]any) {
		if s.(map[string]any)["current"] == true {
			current++
		}
	}
	if current != 1 || len(list.body["items"].([]any)) != 2 {
		t.Errorf("sessions: got %s", list.Body)
	}

	out := w.do(me, "POST", admin+"/auth/logout", "")
	if out.Code != 204 || out.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("logout: got %d %v", out.Code, out.Header())
	}
	w.must(401, "GET", admin+"/auth/me", "", me)
}

func TestPasswordChangeEndsOtherSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.login("owner")
	w.must(204, "POST", admin+"/auth/password", `{"current":"`+password+`","new":"another long password"}`)
	w.must(401, "GET", admin+"/auth/me", "", other)
	w.must(200, "GET", admin+"/auth/me", "")
}

func TestSecureCookieBehindTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.TLS = true })
	a := w.do(credential{}, "POST", admin+"/auth/login", `{"username":"owner","password":"`+password+`"}`)
	if !a.Result().Cookies()[0].Secure || a.Header().Get("Strict-Transport-Security") == "" {
		t.Errorf("got %v", a.Header())
	}
}

func TestLoginAnswersNothingApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wrong := w.do(credential{}, "POST", admin+"/auth/login", `{"username":"owner","password":"not this one"}`)
	nobody := w.do(credential{}, "POST", admin+"/auth/login", `{"username":"ghost","password":"not this one"}`)
	if wrong.Code != 401 || nobody.Code != 401 || wrong.Body.String() != nobody.Body.String() {
		t.Errorf("got %d %s and %d %s", wrong.Code, wrong.Body, nobody.Code, nobody.Body)
	}
}

func TestCSRF(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := w.key(w.owner, `{"name":"k","scopes":`+allScopes()+`}`)
	body := `{"slug":"a-b"}`
	for _, tt := range []struct {
		name   string
		who    credential
		method string
		path   string
		body   string
		header []string
		want   int
	}{
		{"a form on another page", w.owner, "POST", "/apps", body, []string{"Origin", "http://evil.example"}, 403},
		{"no origin at all", w.owner, "POST", "/apps", body, []string{"Origin", ""}, 403},
		{"an opaque origin", w.owner, "POST", "/apps", body, []string{"Origin", "null"}, 403},
		{"a browser that tells on the page", w.owner, "POST", "/apps", body, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a sibling domain", w.owner, "POST", "/apps", body, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"reading is no change", w.owner, "GET", "/auth/me", "", []string{"Origin", "http://evil.example"}, 200},
		{"a key is never sent by accident", key, "DELETE", "/apps/none", "", []string{"Origin", "http://evil.example"}, 404},
		{"login from another page", credential{}, "POST", "/auth/login", `{"username":"owner","password":"x"}`, []string{"Origin", "http://evil.example"}, 403},
		{"login by a program", credential{}, "POST", "/auth/login", `{"username":"owner","password":"x"}`, nil, 401},
		{"a type that forms can send", w.owner, "POST", "/apps", body, []string{"Content-Type", "text/plain"}, 400},
		{"delete from another page", w.owner, "DELETE", "/apps/none", "", []string{"Origin", "http://evil.example"}, 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := w.do(tt.who, tt.method, admin+tt.path, tt.body, tt.header...); a.Code != tt.want {
				t.Errorf("got %d %s, want %d", a.Code, a.Body, tt.want)
			}
		})
	}
}

// TestAKeyIsJudgedAlone: a request with a bad key is not saved by a good cookie.
func TestAKeyIsJudgedAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, h := range []string{"Bearer pic_wrong", "Basic b3duZXI6eA==", "pic_x", "Bearer"} {
		if a := w.do(w.owner, "GET", admin+"/auth/me", "", "Authorization", h); a.Code != 401 {
			t.Errorf("%q: got %d, want 401", h, a.Code)
		}
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ann, as := w.user("ann", cloud.Member)
	id := ann.String()
	if a := w.must(200, "GET", admin+"/admins/"+id, ""); a.text("username") != "ann" || a.text("instance_role") != "member" || a.body["is_active"] != true {
		t.Errorf("got %s", a.Body)
	}
	if a := w.must(200, "GET", admin+"/admins?limit=1", ""); len(a.body["items"].([]any)) != 1 || a.text("next_cursor") == "" {
		t.Errorf("first page: got %s", a.Body)
	}
	w.must(200, "PATCH", admin+"/admins/"+id, `{"instance_role":"admin"}`)
	w.must(200, "GET", admin+"/admins", "", as)
	w.must(409, "POST", admin+"/admins", `{"username":"ann","password":"`+password+`","instance_role":"member"}`)
	w.must(422, "POST", admin+"/admins", `{"username":"bob","password":"short","instance_role":"member"}`)
	w.must(204, "DELETE", admin+"/admins/"+id, "")
	w.must(404, "GET", admin+"/admins/"+id, "")
	w.must(401, "GET", admin+"/auth/me", "", as)
	w.must(404, "GET", admin+"/admins/nonsense", "")
}

func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app("shop")
	a := w.must(201, "POST", admin+"/api-keys", `{"name":"ci","scopes":["script:write"],"app":"shop"}`)
	key := a.text("key")
	if !strings.HasPrefix(key, "pic_"+a.text("prefix")) || a.text("app_id") == "" {
		t.Fatalf("got %s", a.Body)
	}
	list := w.must(200, "GET", admin+"/api-keys", "")
	if strings.Contains(list.Body.String(), key) || !strings.Contains(list.Body.String(), `"name":"ci"`) {
		t.Errorf("list: got %s", list.Body)
	}
	me := w.must(200, "GET", admin+"/auth/me", "", credential{key: key})
	if me.text("via") != "key" || me.text("username") != "owner" {
		t.Errorf("me: got %s", me.Body)
	}
	w.must(422, "POST", admin+"/api-keys", `{"name":"x","scopes":["everything"]}`)
	w.must(204, "DELETE", admin+"/api-keys/"+a.text("id"), "")
	w.must(401, "GET", admin+"/auth/me", "", credential{key: key})
}

func TestApps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.must(201, "POST", admin+"/apps", `{"slug":"shop","name":"The shop"}`)
	if a.text("my_role") != "app_admin" || a.body["unresolved_dead_letters"] != 0.0 {
		t.Errorf("got %s", a.Body)
	}
	id := a.text("id")
	w.must(200, "GET", admin+"/apps/"+id, "")
	w.must(409, "POST", admin+"/apps", `{"slug":"shop"}`)
	w.must(422, "POST", admin+"/apps", `{"slug":"S"}`)
	w.must(200, "PATCH", admin+"/apps/shop", `{"slug":"store"}`)

	moved := w.do(w.owner, "GET", admin+"/apps/shop/scripts?limit=5", "")
	if moved.Code != 308 || moved.Header().Get("Location") != admin+"/apps/store/scripts?limit=5" {
		t.Errorf("former slug: got %d to %q", moved.Code, moved.Header().Get("Location"))
	}
	_, stranger := w.user("stranger", cloud.Member)
	w.must(404, "GET", admin+"/apps/shop", "", stranger)
	w.must(404, "GET", admin+"/apps/store", "", stranger)
	if list := w.must(200, "GET", admin+"/apps", "", stranger); len(list.body["items"].([]any)) != 0 {
		t.Errorf("a stranger sees %s", list.Body)
	}

	id = w.must(201, "POST", admin+"/apps/store/scripts", `{"name":"a","source":"export default () => 1"}`).text("id")
	run := w.must(200, "POST", apiPrefix+"/execute/"+id, "").Header().Get(headerExecution)
	w.must(200, "GET", admin+"/executions/"+run, "")
	w.must(409, "DELETE", admin+"/apps/store", "")
	w.must(400, "DELETE", admin+"/apps/store", `{"cascade":true}`) // where it doesn't count
	w.must(400, "DELETE", admin+"/apps/store?cascade=maybe", "")
	w.must(204, "DELETE", admin+"/apps/store?cascade=true", "")
	w.must(404, "GET", admin+"/apps/store", "")
	w.must(404, "GET", admin+"/executions/"+run, "")
	w.must(404, "GET", admin+"/executions/"+run+"/chain", "")
}

func TestMembersAndDomains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app("shop")
	ann, as := w.user("ann", cloud.Member)
	member := admin + "/apps/shop/members/" + ann.String()
	w.must(404, "GET", member, "")
	if a := w.must(200, "PUT", member, `{"role":"editor"}`); a.text("role") != "editor" || a.text("user_id") != ann.String() {
		t.Errorf("got %s", a.Body)
	}
	if me := w.must(200, "GET", admin+"/auth/me", "", as); len(me.body["roles"].(map[string]any)) != 1 {
		t.Errorf("me: got %s", me.Body)
	}
	w.must(403, "GET", member, "", as)
	w.must(422, "PUT", member, `{"role":"king"}`)
	w.must(200, "GET", admin+"/apps/shop/members", "")
	w.must(204, "DELETE", member, "")
	w.must(404, "GET", admin+"/apps/shop", "", as)

	d := w.must(201, "POST", admin+"/apps/shop/domains", `{"host":"Shop.Example.org"}`)
	if d.text("host") != "shop.example.org" || d.text("kind") != "exact" {
		t.Errorf("got %s", d.Body)
	}
	w.app("other")
	w.must(409, "POST", admin+"/apps/other/domains", `{"host":"shop.example.org","kind":"exact"}`)
	w.must(404, "DELETE", admin+"/apps/other/domains/"+d.text("id"), "")
	w.must(204, "DELETE", admin+"/apps/shop/domains/"+d.text("id"), "")
}

func TestScriptsAndRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, id, routeID := w.app("shop")
	script := admin + "/scripts/" + id
	if a := w.must(200, "GET", script, ""); a.text("engine") != "quickjs" || a.body["timeout_seconds"] != 30.0 || a.body["version"] != 1.0 {
		t.Errorf("got %s", a.Body)
	}
	if a := w.must(200, "PATCH", script, `{"source":"export default () => 2"}`); a.body["version"] != 2.0 {
		t.Errorf("got %s", a.Body)
	}
	if a := w.must(200, "GET", script+"/versions", ""); len(a.body["items"].([]any)) != 2 {
		t.Errorf("got %s", a.Body)
	}
	if a := w.must(200, "POST", script+"/rollback", `{"version":1}`); a.body["version"] != 3.0 || a.text("source") != "export default () => 1" {
		t.Errorf("got %s", a.Body)
	}
	for _, bad := range []string{`{"timeout_seconds":0}`, `{"timeout_seconds":301}`, `{"engine":"cobol"}`, `{"name":""}`} {
		w.must(422, "PATCH", script, bad)
	}
	w.must(422, "POST", admin+"/apps/shop/scripts", `{"name":"x","source":"1","timeout_seconds":0}`)

	if a := w.must(409, "POST", script+"/routes", `{"path":"/shop","method":"get"}`); !strings.Contains(a.text("error", "message"), "/shop") {
		t.Errorf("got %s", a.Body)
	}
	for _, path := range []string{"/api/x", "/admin", "/healthz", "/~x", "no-slash"} {
		w.must(422, "POST", script+"/routes", `{"path":"`+path+`"}`)
	}
	r := w.must(201, "POST", script+"/routes", `{"path_kind":"param","path":"/users/:id","method":"get","dispatch_mode":"async"}`)
	if r.text("method") != "GET" || r.text("dispatch_mode") != "async" || r.text("host_kind") != "any" {
		t.Errorf("got %s", r.Body)
	}
	m := w.must(200, "GET", admin+"/apps/shop/routes/match?path=/users/7&host=pi.local", "")
	if m.text("match", "params", "id") != "7" || m.body["status"] != 200.0 {
		t.Errorf("match: got %s", m.Body)
	}
	if m := w.must(200, "GET", admin+"/apps/shop/routes/match?path=/users/7&method=POST", ""); m.body["status"] != 405.0 || m.body["match"] != nil {
		t.Errorf("match: got %s", m.Body)
	}
	w.must(204, "DELETE", admin+"/routes/"+routeID, "")
	w.must(404, "DELETE", admin+"/routes/"+routeID, "")
	w.must(204, "DELETE", script, "")
	w.must(404, "GET", script, "")
	if a := w.must(200, "GET", admin+"/apps/shop/routes", ""); len(a.body["items"].([]any)) != 0 {
		t.Errorf("routes of a deleted script: got %s", a.Body)
	}
}

func TestKV(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app("shop")
	kv := admin + "/apps/shop/kv"
	a := w.must(200, "PUT", kv+"/carts/a%2Fb", `{"value":{"n":1}}`)
	if a.text("key") != "a/b" || a.body["expires_at"] != nil {
		t.Errorf("got %s", a.Body)
	}
	for _, path := range []string{"/carts/a%2Fb", "/carts/a/b"} {
		if a := w.must(200, "GET", kv+path, ""); a.body["value"].(map[string]any)["n"] != 1.0 {
			t.Errorf("%s: got %s", path, a.Body)
		}
	}
	if a := w.must(200, "PUT", kv+"/carts/c", `{"value":null,"ttl_seconds":60}`); a.text("expires_at") == "" {
		t.Errorf("got %s", a.Body)
	}
	w.must(422, "PUT", kv+"/carts/c", `{}`)
	w.must(422, "PUT", kv+"/carts/c", `{"value":1,"ttl_seconds":0}`)
	if a := w.must(200, "GET", kv+"/carts?prefix=a", ""); len(a.body["items"].([]any)) != 1 {
		t.Errorf("got %s", a.Body)
	}
	if a := w.must(200, "GET", kv+"/unknown", ""); len(a.body["items"].([]any)) != 0 {
		t.Errorf("got %s", a.Body)
	}
	if a := w.must(200, "GET", kv, ""); !strings.Contains(a.Body.String(), `{"collection":"carts","keys":2}`) {
		t.Errorf("got %s", a.Body)
	}
	w.must(204, "DELETE", kv+"/carts/c", "")
	w.must(404, "GET", kv+"/carts/c", "")
	// Dots name keys, too: they are never the path's.
	w.must(200, "PUT", kv+"/carts/%2e%2e", `{"value":1}`)
	w.must(200, "GET", kv+"/carts/%2e%2e", "")
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app("shop")
	a := w.must(200, "PUT", admin+"/apps/shop/quotas", `{"kv_bytes":1000}`)
	if a.body["kv_bytes"] != 1000.0 || a.body["outbox_rows"] != 0.0 {
		t.Errorf("got %s", a.Body)
	}
	w.must(403, "PUT", admin+"/apps/shop/quotas", `{}`, w.member("shop", cloud.AppAdmin))
	w.must(422, "PUT", admin+"/apps/shop/quotas", `{"kv_bytes":-1}`)
}

func TestAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, script, _ := w.app("shop")
	w.must(200, "PATCH", admin+"/scripts/"+script, `{"source":"export default () => 'secret source'","name":"renamed"}`)
	w.must(403, "POST", admin+"/apps/shop/scripts", `{"name":"x","source":"1"}`, w.member("shop", cloud.Viewer))
	a := w.must(200, "GET", admin+"/apps/shop/audit", "")
	var actions []string
	for _, item := range a.body["items"].([]any) {
		entry := item.(map[string]any)
		actions = append(actions, entry["action"].(string))
		if entry["username"] != "owner" || entry["address"] != "192.0.2.1" || entry["app_id"] == nil {
			t.Errorf("got %v", entry)
		}
	}
	if got, want := strings.Join(actions, " "), "member.set script.update route.create script.create app.create"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if strings.Contains(a.Body.String(), "secret source") {
		t.Error("a source is in the audit log")
	}
	all := w.must(200, "GET", admin+"/audit", "").Body.String()
	if !strings.Contains(all, `"user.login"`) || strings.Contains(all, password) {
		t.Errorf("got %s", all)
	}
}

// TestRightsTakenAway: neither a session nor a key outlives what its user may do.
func TestRightsTakenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app("shop")
	id, ann := w.user("ann", cloud.Admin)
	key := w.key(ann, `{"name":"k","scopes":`+allScopes()+`}`)
	w.must(200, "GET", admin+"/apps/shop", "", ann)
	w.must(200, "GET", admin+"/system", "", key)
	w.must(200, "PATCH", admin+"/admins/"+id.String(), `{"instance_role":"member"}`)
	w.must(403, "GET", admin+"/admins", "", key)
	w.must(404, "GET", admin+"/apps/shop", "", ann)
	w.must(404, "GET", admin+"/apps/shop", "", key)
	w.clock.advance(30 * 24 * time.Hour)
	w.must(401, "GET", admin+"/auth/me", "", ann)
}

func TestMetricsDoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app("shop")
	logs := w.key(w.owner, `{"name":"logs","scopes":["log:read"]}`)
	_, member := w.user("ann", cloud.Member)
	for _, tt := range []struct {
		name string
		who  credential
		peer string
		want int
	}{
		{"this machine", credential{}, "127.0.0.1:1", 200},
		{"anybody", credential{}, "192.0.2.1:1", 401},
		{"a key that reads logs", logs, "192.0.2.1:1", 200},
		{"a key that doesn't", w.key(w.owner, `{"name":"x","scopes":["script:read"]}`), "192.0.2.1:1", 403},
		{"a bound key", w.key(w.owner, `{"name":"b","scopes":["log:read"],"app":"shop"}`), "192.0.2.1:1", 403},
		{"a member's key", w.key(member, `{"name":"m","scopes":["log:read"]}`), "192.0.2.1:1", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRequest("GET", "http://pi.local/metrics")
			r.RemoteAddr = tt.peer
			if tt.who.key != "" {
				r.Header.Set("Authorization", "Bearer "+tt.who.key)
			}
			a := answered{ResponseRecorder: httptest.NewRecorder()}
			w.handler.ServeHTTP(a, r)
			if a.Code != tt.want {
				t.Errorf("got %d %s, want %d", a.Code, a.Body, tt.want)
			}
		})
	}
}

func TestHeadersOfAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, a := range []answered{w.must(200, "GET", admin+"/auth/me", ""), w.must(404, "GET", admin+"/apps/none", ""), w.must(204, "POST", admin+"/auth/logout", "")} {
		h := a.Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Strict-Transport-Security": "",
		} {
			if h.Get(name) != want {
				t.Errorf("%d: %s: got %q, want %q", a.Code, name, h.Get(name), want)
			}
		}
	}
}
