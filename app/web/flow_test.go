package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/app/outbox"
)

const echo = `export default (ctx) => ctx.request`

func TestSyncRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(201, "POST", admin+"/apps", `{"slug":"shop"}`)
	w.script("shop", "echo", echo, "/echo")
	w.script("shop", "broken", "export default () => {\n  throw new Error('secret')\n}", "/broken")
	w.script("shop", "teapot", `export default () => ({statusCode: 418, headers: {"x-a": "1", "set-cookie": "=picloud_session=x"}, body: "short"})`, "/teapot")

	a := w.do(w.owner, "POST", "/echo?a=1&b=2&b=3", `{"n":1}`, "X-Thing", "yes", "Authorization", "Bearer pic_abc")
	if a.Code != 200 || a.Header().Get(headerExecution) == "" {
		t.Fatalf("got %d %s", a.Code, a.Body)
	}
	got, _ := json.Marshal(map[string]any{"b": a.body["body"], "q": a.body["query"], "raw": a.body["rawBody"], "thing": a.body["headers"].(map[string]any)["x-thing"]})
	if want := `{"b":{"n":1},"q":{"a":"1","b":["2","3"]},"raw":"{\"n\":1}","thing":"yes"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if strings.Contains(a.Body.String(), w.owner.session) || strings.Contains(a.Body.String(), "pic_abc") {
		t.Errorf("the script sees credentials: %s", a.Body)
	}
	x := w.must(200, "GET", admin+"/executions/"+a.Header().Get(headerExecution), "")
	if x.text("status") != "success" || x.text("source") != "http" || x.body["status_code"] != 200.0 {
		t.Errorf("execution: got %s", x.Body)
	}

	b := w.do(credential{}, "GET", "/broken", "")
	if b.Code != 502 || b.text("error", "code") != "script_error" || b.text("execution_id") == "" || strings.Contains(b.Body.String(), "secret") {
		t.Errorf("a throw: got %d %s", b.Code, b.Body)
	}
	x = w.must(200, "GET", admin+"/executions/"+b.text("execution_id"), "")
	if x.text("status") != "error" || !strings.Contains(x.text("error", "message"), "secret") {
		t.Errorf("execution: got %s", x.Body)
	}

	c := w.do(credential{}, "HEAD", "/teapot", "")
	if c.Code != 418 || c.Header().Get("X-A") != "1" || c.Body.Len() != 0 || c.Header().Get("Set-Cookie") != "" {
		t.Errorf("HEAD: got %d %v %q", c.Code, c.Header(), c.Body)
	}
	if a := w.do(credential{}, "POST", "/echo", `{"n":`); a.Code != 400 {
		t.Errorf("malformed: got %d %s", a.Code, a.Body)
	}
	if a := w.do(credential{}, "POST", "/echo", `"`+strings.Repeat("x", 1<<20)+`"`); a.Code != 413 {
		t.Errorf("too large: got %d %s", a.Code, a.Body)
	}
	list := w.must(200, "GET", admin+"/apps/shop/executions?status=error", "")
	if n := len(list.body["items"].([]any)); n != 1 {
		t.Errorf("failed executions: got %d", n)
	}
}

func TestRouting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(201, "POST", admin+"/apps", `{"slug":"shop"}`)
	id := w.script("shop", "echo", echo, "")
	w.must(201, "POST", admin+"/scripts/"+id+"/routes", `{"path":"/only-post","method":"POST"}`)
	w.must(201, "POST", admin+"/scripts/"+id+"/routes", `{"path":"/files","path_kind":"prefix"}`)

	if a := w.do(credential{}, "GET", "/only-post", ""); a.Code != 405 || a.Header().Get("Allow") != "POST" {
		t.Errorf("wrong method: got %d %v", a.Code, a.Header())
	}
	if a := w.do(credential{}, "GET", "/nothing", ""); a.Code != 404 || a.text("error", "code") != "not_found" {
		t.Errorf("no route: got %d %s", a.Code, a.Body)
	}
	if a := w.do(credential{}, "GET", "/~shop/files/a%2Fb/c", ""); a.Code != 200 || a.text("rest") != "a/b/c" || a.text("path") != "/files/a%2Fb/c" {
		t.Errorf("by slug: got %d %s", a.Code, a.Body)
	}
	w.must(200, "PATCH", admin+"/apps/shop", `{"slug":"store"}`)
	if a := w.do(credential{}, "POST", "/~shop/files/x?y=1", ""); a.Code != 308 || a.Header().Get("Location") != "/~store/files/x?y=1" {
		t.Errorf("former slug: got %d %v", a.Code, a.Header())
	}
	if a := w.do(credential{}, "GET", "/~nobody/files", ""); a.Code != 404 {
		t.Errorf("unknown slug: got %d", a.Code)
	}
	if a := w.do(credential{}, "GET", "/%7Eshop/files/x", ""); a.Code != 308 || a.Header().Get("Location") != "/~store/files/x" {
		t.Errorf("former slug, escaped: got %d %v", a.Code, a.Header())
	}
	w.Server.NoSlugRoutes = true
	for _, path := range []string{"/~store/files", "/~shop/files"} {
		if a := w.do(credential{}, "GET", path, ""); a.Code != 404 {
			t.Errorf("%s without slug routes: got %d", path, a.Code)
		}
	}
}

func TestExecute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(201, "POST", admin+"/apps", `{"slug":"shop"}`)
	id := w.script("shop", "echo", `export default (ctx) => ({request: ctx.request, who: ctx.principal})`, "")
	path := apiPrefix + "/execute/" + id
	if a := w.must(200, "POST", path, ""); a.text("request", "method") != "POST" || a.text("request", "path") != "/" || a.body["who"] == nil {
		t.Errorf("got %s", a.Body)
	}
	a := w.must(200, "POST", path, `{"body":{"n":1},"method":"put","path":"/x?q=1","headers":{"X-A":"1"}}`)
	got, _ := json.Marshal(a.body["request"])
	for _, want := range []string{`"body":{"n":1}`, `"method":"PUT"`, `"path":"/x"`, `"q":"1"`, `"x-a":"1"`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("got %s, want it to have %s", got, want)
		}
	}
	if a.Header().Get(headerExecution) == "" {
		t.Error("no execution id")
	}
	w.must(422, "POST", admin+"/apps/shop/scripts", `{"name":"bad","source":"export default ("}`)
	w.must(400, "POST", path, `{"path":"x"}`)
	w.must(400, "POST", path, `{"method":"G ET"}`)
	w.must(404, "POST", apiPrefix+"/execute/"+cloud.NewID[cloud.ScriptID]().String(), "")
}

// until asks again as executions of an app finish, until ok or the test's patience ends.
func (w *world) until(app string, what string, ok func() bool) {
	w.Helper()
	a, _, err := w.Control.App(w.Context(), nil, app)
	if err != nil {
		w.Fatal(err)
	}
	finished, cancel := w.Server.Log.Subscribe(a.ID)
	defer cancel()
	patience := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-finished:
		case <-time.After(20 * time.Millisecond): // a commit after the last execution makes no sound
		case <-patience:
			w.Fatalf("gave up waiting for %s", what)
		}
	}
}

func TestAsyncRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(201, "POST", admin+"/apps", `{"slug":"shop"}`)
	id := w.script("shop", "work", `export default (ctx) => { kv.collection("done").set("k", ctx.request.body); return {ok: true} }`, "")
	w.must(201, "POST", admin+"/scripts/"+id+"/routes", `{"path":"/work","dispatch_mode":"async"}`)
	a := w.must(202, "POST", "/work", `{"n":7}`, credential{})
	if a.text("accepted_at") == "" || a.text("status_url") != admin+"/executions/"+a.text("execution_id") || a.Header().Get(headerExecution) != a.text("execution_id") {
		t.Fatalf("got %s %v", a.Body, a.Header())
	}
	w.until("shop", "success", func() bool { return w.must(200, "GET", a.text("status_url"), "").text("status") == "success" })
	if x := w.must(200, "GET", a.text("status_url"), ""); x.text("id") != a.text("execution_id") || x.body["attempt"] != 1.0 {
		t.Errorf("got %s", x.Body)
	}
	if v := w.must(200, "GET", admin+"/apps/shop/kv/done/k", ""); !strings.Contains(v.Body.String(), `"value":{"n":7}`) {
		t.Errorf("got %s", v.Body)
	}
	if c := w.must(200, "GET", a.text("status_url")+"/chain", ""); c.text("status") != "success" {
		t.Errorf("chain: got %s", c.Body)
	}
	_, stranger := w.user("stranger", cloud.Member)
	w.must(404, "GET", a.text("status_url"), "", stranger)
	w.must(404, "GET", a.text("status_url")+"/chain", "", stranger)
	w.must(404, "GET", admin+"/executions/"+cloud.NewID[cloud.ExecutionID]().String(), "")
}

// TestDeadLetterStory is the dashboard's: a trigger that fails, its letter, replay, resolve.
func TestDeadLetterStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(201, "POST", admin+"/apps", `{"slug":"shop"}`)
	w.script("shop", "write", `export default () => { kv.collection("c").set("k", 1); return 1 }`, "/write")
	broken := w.script("shop", "broken", `export default () => { throw new Error("no") }`, "")
	app := admin + "/apps/shop"
	tr := w.must(201, "POST", app+"/triggers/kv", fmt.Sprintf(`{"script_id":%q,"collection_glob":"*","ops":[],"retry_max_attempts":1}`, broken))
	if tr.text("collection_glob") != "*" || tr.text("details", "kind") != "kv" || tr.body["retry_max_attempts"] != 1.0 || tr.body["enabled"] != true {
		t.Errorf("got %s", tr.Body)
	}
	if l := w.must(200, "GET", app+"/triggers", ""); len(l.body["triggers"].([]any)) != 1 || l.body["items"] != nil {
		t.Errorf("got %s", l.Body)
	}
	root := w.must(200, "GET", "/write", "").Header().Get(headerExecution)
	unresolved := func(n float64) func() bool {
		return func() bool { return w.must(200, "GET", app+"/dead_letters/count", "").body["unresolved"] == n }
	}
	w.until("shop", "a dead letter", unresolved(1))
	list := w.must(200, "GET", app+"/dead_letters?unresolved=true", "")
	letter := list.body["dead_letters"].([]any)[0].(map[string]any)
	id := letter["id"].(string)
	if letter["source"] != "kv" || letter["resolved_at"] != nil || len(letter["attempts"].([]any)) != 1 {
		t.Errorf("got %v", letter)
	}
	if a := w.must(200, "GET", app, ""); a.body["unresolved_dead_letters"] != 1.0 {
		t.Errorf("badge: got %s", a.Body)
	}
	if a := w.must(200, "GET", admin+"/apps", ""); a.body["items"].([]any)[0].(map[string]any)["unresolved_dead_letters"] != 1.0 {
		t.Errorf("badge in the list: got %s", a.Body)
	}
	c := w.must(200, "GET", admin+"/executions/"+root+"/chain", "")
	dead := c.body["children"].([]any)[0].(map[string]any)
	if c.text("id") != root || dead["status"] != "dead" || dead["dead_letter_id"] != id || len(dead["children"].([]any)) != 1 {
		t.Errorf("chain: got %s", c.Body)
	}

	w.must(204, "POST", app+"/dead_letters/"+id+"/replay", "")
	w.must(409, "POST", app+"/dead_letters/"+id+"/replay", "")
	w.until("shop", "a second letter", unresolved(1))
	second := w.must(200, "GET", app+"/dead_letters?unresolved=true", "").body["dead_letters"].([]any)[0].(map[string]any)["id"].(string)
	if second == id {
		t.Error("the replayed letter is still open")
	}
	w.must(422, "POST", app+"/dead_letters/"+second+"/resolve", `{"reason":"`+strings.Repeat("x", outbox.MaxReason+1)+`"}`)
	w.must(422, "POST", app+"/dead_letters/resolve", `{"filter":{"unresolved":false}}`)
	w.must(204, "POST", app+"/dead_letters/"+second+"/resolve", `{"reason":"`+strings.Repeat("x", outbox.MaxReason)+`"}`)
	if l := w.must(200, "GET", app+"/dead_letters/"+second, ""); l.text("resolution") != "ignored" || l.text("resolved_at") == "" {
		t.Errorf("got %s", l.Body)
	}
	w.must(409, "POST", app+"/dead_letters/"+second+"/resolve", `{"reason":"again"}`)

	w.must(200, "GET", "/write", "")
	w.until("shop", "a third letter", unresolved(1))
	if a := w.must(200, "POST", app+"/dead_letters/resolve", `{"filter":{"source":"kv"},"reason":"all"}`); a.body["count"] != 1.0 {
		t.Errorf("bulk: got %s", a.Body)
	}
	if a := w.must(200, "POST", app+"/dead_letters/replay", `{"filter":{}}`); a.body["count"] != 0.0 {
		t.Errorf("bulk: got %s", a.Body)
	}
	w.must(400, "POST", app+"/dead_letters/replay", `{"filter":{"colour":"red"}}`)
	w.must(200, "PATCH", app+"/triggers/"+tr.text("id"), `{"enabled":false}`)
	w.must(204, "DELETE", app+"/triggers/"+tr.text("id"), "")
	w.must(404, "GET", app+"/triggers/"+tr.text("id"), "")
	w.must(200, "GET", app+"/outbox", "")
	w.must(404, "DELETE", app+"/outbox/"+id, "")
	w.must(200, "GET", app+"/abandoned_executions", "")
}

func TestStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(201, "POST", admin+"/apps", `{"slug":"shop"}`)
	w.script("shop", "hello", `export default () => 1`, "/hello")
	w.heartbeat = 20 * time.Millisecond
	srv := httptest.NewUnstartedServer(nil)
	w.ConfigureServer(srv.Config)
	srv.Start()
	t.Cleanup(srv.Close)
	viewer, session := w.user("ann", cloud.Member)
	w.must(200, "PUT", admin+"/apps/shop/members/"+viewer.String(), `{"role":"viewer"}`)

	r, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL+admin+"/apps/shop/executions/stream", nil)
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: session.session})
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("got %d %v", res.StatusCode, res.Header)
	}
	lines := bufio.NewScanner(res.Body)
	await := func(prefix string) string {
		t.Helper()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), prefix) {
				return lines.Text()
			}
		}
		t.Fatalf("the stream ended before %q", prefix)
		return ""
	}
	await(": connected")
	run := w.must(200, "GET", "/hello", "", credential{}).Header().Get(headerExecution)
	await("event: execution")
	if line := await("data: "); !strings.Contains(line, run) || !strings.Contains(line, `"status":"success"`) {
		t.Errorf("got %s", line)
	}
	await(": heartbeat")
	w.must(204, "DELETE", admin+"/apps/shop/members/"+viewer.String(), "")
	await("event: end")
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "event:") {
			t.Errorf("the stream goes on: %s", lines.Text())
		}
	}
	if a := w.do(w.owner, "HEAD", admin+"/apps/shop/executions/stream", ""); a.Code != 200 || a.Body.Len() != 0 {
		t.Errorf("HEAD: got %d %q", a.Code, a.Body)
	}
}

// TestShutdownEndsStreams: an orderly stop must not wait for people who watch.
func TestShutdownEndsStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(201, "POST", admin+"/apps", `{"slug":"shop"}`)
	srv := httptest.NewUnstartedServer(nil)
	w.ConfigureServer(srv.Config)
	srv.Start()
	t.Cleanup(srv.Close)
	r, _ := http.NewRequestWithContext(t.Context(), "GET", srv.URL+admin+"/apps/shop/executions/stream", nil)
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: w.owner.session})
	res, err := srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := srv.Config.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// A client that sends a long body before it reads gets the answer, not a broken connection.
func TestRefusalReachesWhoSendsFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(201, "POST", admin+"/apps", `{"slug":"shop"}`)
	w.script("shop", "echo", echo, "/echo")
	srv := httptest.NewUnstartedServer(nil)
	w.ConfigureServer(srv.Config)
	srv.Start()
	t.Cleanup(srv.Close)
	body := make([]byte, 24<<20)
	for path, want := range map[string]string{"/echo": "413", "/nowhere": "404", admin + "/apps": "401"} {
		c, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: pi.local\r\nContent-Length: %d\r\n\r\n", path, len(body))
		if _, err := c.Write(body); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		status := make([]byte, 12)
		if _, err := io.ReadFull(c, status); err != nil || string(status) != "HTTP/1.1 "+want {
			t.Errorf("%s: got %q %v, want %s", path, status, err, want)
		}
	}
}

// TestSlowBody: a body that trickles in is given up, and its connection with it.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(201, "POST", admin+"/apps", `{"slug":"shop"}`)
	w.script("shop", "echo", echo, "/echo")
	srv := httptest.NewUnstartedServer(nil)
	w.ConfigureServer(srv.Config)
	srv.Config.ReadTimeout = 100 * time.Millisecond
	srv.Start()
	t.Cleanup(srv.Close)
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /echo HTTP/1.1\r\nHost: pi.local\r\nContent-Length: 1000\r\n\r\nslow"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c) // ends, because the server closes
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		t.Errorf("got %q, %v; want a 400", answer, err)
	}
}

// TestReadTimeoutSparesLongRuns: the timeout for requests must not end their executions.
func TestReadTimeoutSparesLongRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(201, "POST", admin+"/apps", `{"slug":"shop"}`)
	w.script("shop", "slow", `export default () => { const end = Date.now() + 600; while (Date.now() < end); return "done" }`, "/slow")
	srv := httptest.NewUnstartedServer(nil)
	w.ConfigureServer(srv.Config)
	srv.Config.ReadTimeout = 200 * time.Millisecond
	srv.Start()
	t.Cleanup(srv.Close)
	res, err := http.Post(srv.URL+"/slow", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		t.Errorf("got %d, want 200", res.StatusCode)
	}
}

// TestCrossTenant uses the ids of one app at the addresses of another, as somebody who may do
// everything in the other, and as a key that is bound to it.
func TestCrossTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app("mine")
	_, script, route := w.app("theirs")
	theirs := admin + "/apps/theirs"
	trigger := w.must(201, "POST", theirs+"/triggers/kv", fmt.Sprintf(`{"script_id":%q,"collection_glob":"*"}`, script)).text("id")
	domain := w.must(201, "POST", theirs+"/domains", `{"host":"theirs.example"}`).text("id")
	w.must(200, "PUT", theirs+"/kv/c/k", `{"value":"theirs"}`)
	run := w.must(200, "GET", "/~theirs/theirs", "").Header().Get(headerExecution)
	mine, _, err := w.Control.App(t.Context(), nil, "mine")
	if err != nil {
		t.Fatal(err)
	}
	callers := map[string]credential{
		"app_admin": w.member("mine", cloud.AppAdmin),
		"bound key": w.key(w.owner, fmt.Sprintf(`{"name":"b","scopes":%s,"app":%q}`, allScopes(cloud.ScopeInstanceAdmin), mine.ID)),
	}
	before := w.must(200, "GET", theirs+"/triggers", "").Body.String() + w.must(200, "GET", admin+"/scripts/"+script, "").Body.String()
	for name, who := range callers {
		for _, tt := range []struct{ method, path, body string }{
			{"GET", "/scripts/" + script, ""},
			{"PATCH", "/scripts/" + script, `{"name":"stolen"}`},
			{"DELETE", "/scripts/" + script, ""},
			{"GET", "/scripts/" + script + "/versions", ""},
			{"POST", "/scripts/" + script + "/rollback", `{"version":1}`},
			{"GET", "/scripts/" + script + "/routes", ""},
			{"POST", "/scripts/" + script + "/routes", `{"path":"/x"}`},
			{"DELETE", "/routes/" + route, ""},
			{"GET", "/executions/" + run, ""},
			{"GET", "/executions/" + run + "/chain", ""},
			{"GET", "/apps/mine/triggers/" + trigger, ""},
			{"PATCH", "/apps/mine/triggers/" + trigger, `{"enabled":false}`},
			{"DELETE", "/apps/mine/triggers/" + trigger, ""},
			{"DELETE", "/apps/mine/domains/" + domain, ""},
			{"POST", "/apps/mine/triggers/kv", fmt.Sprintf(`{"script_id":%q,"collection_glob":"*"}`, script)},
			{"POST", "/apps/mine/triggers/dead_letter", fmt.Sprintf(`{"script_id":%q}`, script)},
			{"GET", "/apps/mine/kv/c/k", ""},
			{"DELETE", "/apps/mine/kv/c/k", ""},
			{"GET", "/apps/theirs/kv/c/k", ""},
			{"PUT", "/apps/theirs/kv/c/k", `{"value":1}`},
			{"DELETE", "/apps/theirs?cascade=true", ""},
		} {
			if a := w.do(who, tt.method, admin+tt.path, tt.body); a.Code != 404 {
				t.Errorf("%s %s as %s: got %d %s, want 404", tt.method, tt.path, name, a.Code, a.Body)
			}
		}
		if a := w.do(who, "POST", apiPrefix+"/execute/"+script, ""); a.Code != 404 {
			t.Errorf("execute as %s: got %d", name, a.Code)
		}
		if a := w.do(who, "GET", admin+"/apps/mine/executions?script_id="+script, ""); a.Code != 200 || len(a.body["items"].([]any)) != 0 {
			t.Errorf("executions of a foreign script as %s: got %d %s", name, a.Code, a.Body)
		}
	}
	if after := w.must(200, "GET", theirs+"/triggers", "").Body.String() + w.must(200, "GET", admin+"/scripts/"+script, "").Body.String(); after != before {
		t.Errorf("something changed: %s, was %s", after, before)
	}
	if v := w.must(200, "GET", theirs+"/kv/c/k", ""); v.body["value"] != "theirs" {
		t.Errorf("the value changed: %s", v.Body)
	}
}
