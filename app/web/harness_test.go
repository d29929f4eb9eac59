package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/app/control"
	"picloud/app/data"
	"picloud/app/deploy"
	"picloud/app/executor"
	"picloud/app/outbound"
	"picloud/app/outbox"
	"picloud/app/sdk"
	"picloud/db"
	"picloud/db/dbtest"
)

// clock is the instance's clock in tests.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a server on real stores with an owner.
type world struct {
	testing.TB
	*Server
	handler http.Handler
	clock   *clock
	owner   credential
}

const password = "correct horse battery"

// credential is how a request says who it is: neither field is the public.
type credential struct{ session, key string }

func newWorld(tb testing.TB, set ...func(*Options)) *world {
	tb.Helper()
	w := newEmptyWorld(tb, set...)
	if _, err := w.Control.CreateOwner(tb.Context(), "owner", password); err != nil {
		tb.Fatal(err)
	}
	w.owner = w.login("owner")
	return w
}

// newEmptyWorld has no owner yet.
func newEmptyWorld(tb testing.TB, set ...func(*Options)) *world {
	tb.Helper()
	w := &world{TB: tb, clock: &clock{now: time.Now()}}
	d := dbtest.Open(tb, func(o *db.Options) { o.Now, o.Readers = w.clock.Now, 2*permits+4 })
	logger := slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	c, err := control.New(tb.Context(), d, control.Options{Now: w.clock.Now, Logger: logger})
	if err != nil {
		tb.Fatal(err)
	}
	gate := executor.NewGate(executor.GateOptions{Size: permits})
	out := outbox.New(d, outbox.Options{Gate: gate, Principals: c, Scripts: c, Now: w.clock.Now, Logger: logger})
	store := data.New(d, out, data.Options{Logger: logger, Tokens: data.TokenOptions{Key: []byte("key of tests")}})
	log := executor.NewLog(dbtest.OpenLogs(tb), executor.LogOptions{Logger: logger})
	exec, err := executor.New(executor.Options{Scripts: c, Services: sdk.Services{Data: store, Outbox: out}, Log: log, Concurrent: permits, Memory: 256 << 20, Logger: logger})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(exec.Close)
	c.SetCompiler(exec)
	out.SetRunner(exec)
	serve(tb, log.Serve, store.Serve, out.Serve)
	secrets := data.NewSecrets(d, data.SecretsOptions{File: filepath.Join(tb.TempDir(), data.KeyFile), Logger: logger})
	o := Options{Control: c, Outbox: out, Data: store, Secrets: secrets, Breakers: new(outbound.Breakers), Log: log, Deployer: deploy.New(d, c, out), Logger: logger, Now: w.clock.Now, SessionTTL: time.Hour}
	for _, f := range set {
		f(&o)
	}
	w.Server = New(o)
	w.handler = w.Server.Handler()
	return w
}

// permits is how many executions run at once in tests.
const permits = 4

// serve runs loops until the test ends, the last one first to stop.
func serve(tb testing.TB, loops ...func(context.Context) error) {
	for _, loop := range loops {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- loop(ctx) }()
		tb.Cleanup(func() {
			cancel()
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				tb.Errorf("loop: %v", err)
			}
		})
	}
}

// answered is what came back.
type answered struct {
	*httptest.ResponseRecorder
	body map[string]any
}

func (a answered) text(path ...string) string {
	var v any = a.body
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	s, _ := v.(string)
	return s
}

// do sends a request as somebody, from the site's own pages. body is JSON, "" for none.
func (w *world) do(who credential, method, path, body string, header ...string) answered {
	w.Helper()
	r := newRequest(method, "http://pi.local"+path)
	if body != "" {
		r = httptest.NewRequest(method, "http://pi.local"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	}
	if who.key != "" {
		r.Header.Set("Authorization", "Bearer "+who.key)
	}
	if who.session != "" {
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: who.session})
		r.Header.Set("Origin", "http://pi.local")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Del(header[i])
		if header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	a := answered{ResponseRecorder: httptest.NewRecorder()}
	w.handler.ServeHTTP(a, r)
	_ = json.Unmarshal(a.Body.Bytes(), &a.body) // not every answer is an object
	return a
}

// must sends a request as the owner (or as) and fails the test unless the status is want.
func (w *world) must(want int, method, path, body string, as ...credential) answered {
	w.Helper()
	who := w.owner
	if len(as) > 0 {
		who = as[0]
	}
	a := w.do(who, method, path, body)
	if a.Code != want {
		w.Fatalf("%s %s: got %d %s, want %d", method, path, a.Code, a.Body, want)
	}
	return a
}

const admin = apiPrefix + "/admin"

func (w *world) login(username string) credential {
	w.Helper()
	a := w.do(credential{}, "POST", admin+"/auth/login", `{"username":"`+username+`","password":"`+password+`"}`)
	for _, c := range a.Result().Cookies() {
		if c.Name == sessionCookie && a.Code == 200 {
			return credential{session: c.Value}
		}
	}
	w.Fatalf("login %s: got %d %s", username, a.Code, a.Body)
	return credential{}
}

// user makes a user and logs them in.
func (w *world) user(name string, role cloud.InstanceRole) (cloud.UserID, credential) {
	w.Helper()
	a := w.must(201, "POST", admin+"/admins", `{"username":"`+name+`","password":"`+password+`","instance_role":"`+string(role)+`"}`)
	id, err := cloud.ParseID[cloud.UserID](a.text("id"))
	if err != nil {
		w.Fatal(err)
	}
	return id, w.login(name)
}

// member makes a member of the instance with a role in an app.
func (w *world) member(app string, role cloud.Role) credential {
	w.Helper()
	id, c := w.user("m-"+string(role)+"-"+app, cloud.Member)
	w.must(200, "PUT", admin+"/apps/"+app+"/members/"+id.String(), `{"role":"`+string(role)+`"}`)
	return c
}

// script makes a script, and a route to it at path when that isn't "".
func (w *world) script(app, name, source, path string) string {
	w.Helper()
	in, _ := json.Marshal(map[string]string{"name": name, "source": source})
	id := w.must(201, "POST", admin+"/apps/"+app+"/scripts", string(in)).text("id")
	if path != "" {
		w.must(201, "POST", admin+"/scripts/"+id+"/routes", `{"path":"`+path+`"}`)
	}
	return id
}

// app makes one with a script and a route, and says their ids.
func (w *world) app(slug string) (app, script, route string) {
	w.Helper()
	app = w.must(201, "POST", admin+"/apps", `{"slug":"`+slug+`"}`).text("id")
	script = w.must(201, "POST", admin+"/apps/"+slug+"/scripts", `{"name":"main","source":"export default () => 1"}`).text("id")
	route = w.must(201, "POST", admin+"/scripts/"+script+"/routes", `{"path":"/`+slug+`"}`).text("id")
	return app, script, route
}

func (w *world) key(as credential, input string) credential {
	w.Helper()
	return credential{key: w.must(201, "POST", admin+"/api-keys", input, as).text("key")}
}

func allScopes(but ...cloud.Scope) string {
	var names []string
	for _, s := range cloud.Scopes {
		if !slices.Contains(but, s) {
			names = append(names, string(s))
		}
	}
	b, _ := json.Marshal(names)
	return string(b)
}
