package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/app/data"
	"picloud/app/outbound"
	"picloud/db"
)

// stored is the payload of the only row in the outbox.
func (s *sandbox) stored() string {
	s.t.Helper()
	must(s.t, s.db.Update(s.t.Context(), s.call.Unit.Apply))
	var text, lane, key string
	must(s.t, s.db.View(s.t.Context(), func(_ context.Context, rx *db.Rx) error {
		return rx.QueryRow(`SELECT payload, lane, ordering_key FROM outbox ORDER BY n DESC LIMIT 1`).Scan(&text, &lane, &key)
	}))
	if lane != "http:"+key {
		s.t.Errorf("lane %s, key %s", lane, key)
	}
	return text
}

func TestHTTPLater(t *testing.T) {
	onEngines(t, true, func(t *testing.T, s *sandbox) {
		s.services.HTTP = outbound.New(outbound.Options{})
		s.services.Secrets = data.NewSecrets(s.db, data.SecretsOptions{File: filepath.Join(t.TempDir(), data.KeyFile)})
		inv := publicCall()
		s.begin(inv)
		for name, value := range map[string]string{"token": `tok"en/1`, "pass": "pass-word"} {
			_, err := s.services.Secrets.Put(t.Context(), inv.App, name, value)
			must(t, err)
		}
		id := s.value(`
			var token = secrets.get("token"), pass = secrets.get("pass");
			return http.later({method: "POST", url: "https://API.example.org:443/x", query: {key: token},
				headers: {authorization: "Basic " + base64.encode("user:" + pass), "x-token": ["a " + token, "plain"]},
				json: [token, "{\"secret\":\"pass\"}"]})`)
		if _, err := cloud.ParseID[cloud.RowID](strings.Trim(id, `"`)); err != nil {
			t.Errorf("the answer is %s", id)
		}
		got := s.stored()
		want := `{"source":"http_out","op":"POST","http_out":{"method":"POST","url":["https://API.example.org:443/x?key=",{"secret":"token","as":"query"}],` +
			`"headers":{"Authorization":[["Basic ",{"basic":["user:",{"secret":"pass"}]}]],"Content-Type":["application/json"],"X-Token":[["a ",{"secret":"token"}],"plain"]},` +
			`"body":["[\"",{"secret":"token","as":"json"},"\",\"{\\\"secret\\\":\\\"pass\\\"}\"]"],"timeout_seconds":10,"redirect":"follow","hops":0}}`
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		var ev laterEvent
		must(t, json.Unmarshal([]byte(got), &ev))
		r, err := ev.HTTP.request(func(name string) (string, error) { return s.call.secrets[name], nil })
		must(t, err)
		if got := fmt.Sprint(r.URL, r.Header, string(r.Body)); got != `https://API.example.org:443/x?key=tok%22en%2F1`+
			` map[Authorization:[Basic dXNlcjpwYXNzLXdvcmQ=] Content-Type:[application/json] X-Token:[a tok"en/1 plain]]`+
			`["tok\"en/1","{\"secret\":\"pass\"}"]` {
			t.Errorf("sent would be %s", got)
		}
		s.begin(inv)
		for source, want := range map[string]string{
			`http.later({url: "http://a/", as: "text"})`:   "invalid: http.later has no option as",
			`http.later({url: "http://a/", timeout: 100})`: "invalid: timeout is at most 60",
			`http.later()`:                 "invalid: http.later takes an object",
			`http.later({url: "ftp://a"})`: "invalid: the URL must begin",
		} {
			if got := s.thrown(source); !strings.HasPrefix(got, want) {
				t.Errorf("%s: got %s, want %s", source, got, want)
			}
		}
	})
}

func FuzzLaterText(f *testing.F) {
	f.Add("Bearer secret-value", "secret-value")
	f.Add("Basic dXNlcjpwYXNzLXdvcmQ=", "pass-word")
	f.Add(`{"a":"x\"y z"}`, `x"y z`)
	f.Fuzz(func(t *testing.T, text, secret string) {
		c := &Call{shared: &shared{secrets: map[string]string{"s": secret}}}
		for _, made := range []laterText{laterTextOf(text, c.secretForms()), laterHeader(text, c.secretForms())} {
			b, err := json.Marshal(made)
			if err != nil {
				t.Fatal(err)
			}
			var read laterText
			if err := json.Unmarshal(b, &read); err != nil {
				t.Fatalf("%s: %v", b, err)
			}
			got, err := read.resolve(func(string) (string, error) { return secret, nil })
			if want := strings.ToValidUTF8(text, "\ufffd"); err != nil || strings.ToValidUTF8(got, "\ufffd") != want && strings.ToValidUTF8(text, "") == text {
				t.Errorf("%q became %q by %s: %v", text, got, b, err)
			}
		}
	})
}

func FuzzReadLaterText(f *testing.F) {
	f.Add(`["a",{"secret":"b","as":"json"},{"basic":["c"]}]`)
	f.Add(`"a"`)
	f.Add(`[{"secret":"","as":"x"}]`)
	f.Fuzz(func(t *testing.T, text string) {
		var read laterText
		if json.Unmarshal([]byte(text), &read) == nil {
			_, _ = read.resolve(func(string) (string, error) { return "v", nil })
		}
	})
}

// secretMap is a Secrets.
type secretMap map[string]string

func (m secretMap) Get(_ context.Context, _ cloud.AppID, name string) (string, bool, error) {
	v, ok := m[name]
	return v, ok, nil
}

func TestHTTPSender(t *testing.T) {
	t.Parallel()
	var seen http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen = r.Header
		switch r.URL.Path {
		case "/busy":
			w.Header().Set("Retry-After", "120")
			w.WriteHeader(503)
		case "/broken":
			w.WriteHeader(500)
		case "/gone":
			w.WriteHeader(410)
		case "/slow":
			<-r.Context().Done()
		default:
			fmt.Fprintf(w, "got %s %s", r.Header.Get("X-Token"), body)
		}
	}))
	t.Cleanup(server.Close)
	allow, err := outbound.ParseAllow([]string{"127.0.0.1"})
	must(t, err)
	client := outbound.New(outbound.Options{Allow: allow})
	t.Cleanup(client.CloseIdle)
	held := cloud.Time(-1)
	s := &HTTPSender{
		Client: client, Secrets: secretMap{"token": "tell-nobody"}, Breakers: new(outbound.Breakers), Now: time.Now, Logger: slog.Default(),
		Hold: func(_ context.Context, _ cloud.AppID, _ string, until cloud.Time) error { held = until; return nil },
	}
	send := func(path, more string) *cloud.Result {
		inv := &cloud.Invocation{App: cloud.AppID{1}, Key: "the-key", Source: cloud.SourceHTTPOut}
		inv.Event = json.RawMessage(`{"source":"http_out","op":"POST","http_out":{"method":"POST","url":"` + path + `","headers":{"X-Token":[[{"secret":"token"}]]` + more)
		return s.Send(t.Context(), inv)
	}
	res := send(server.URL+"/ok", `},"body":"hi"}}`)
	if res.Err != nil || res.StatusCode != 200 || string(res.Body) != "got tell-nobody hi" || res.Redact(string(res.Body)) != "got [redacted] hi" || seen.Get(idempotencyKey) != "the-key" {
		t.Errorf("got %+v %s, header %v", res, res.Body, seen)
	}
	if send(server.URL+"/ok", `,"Idempotency-Key":["mine"]}}}`); seen.Get(idempotencyKey) != "mine" {
		t.Errorf("the script's key: got %q", seen.Get(idempotencyKey))
	}
	for _, tt := range []struct {
		path, more string
		kind       cloud.Kind
		after      time.Duration
		free       bool
	}{
		{server.URL + "/gone", `}}}`, cloud.Invalid, 0, false},
		{server.URL + "/broken", `}}}`, cloud.Unreachable, 0, false},
		{server.URL + "/busy", `}}}`, cloud.Unreachable, 2 * time.Minute, false},
		{"http://127.0.0.1:1/", `}}}`, cloud.Unreachable, 5 * time.Second, true},
		{server.URL + "/slow", `},"timeout_seconds":0.05}}`, cloud.Timeout, 20 * time.Second, true},
		{"http://10.0.0.1/", `}}}`, cloud.Forbidden, 0, false},
		{server.URL, `,"A":[[{"secret":"gone"}]]}}}`, cloud.Conflict, 0, false},
		{server.URL, `,"A":[[{"nothing":1}]]}}}`, cloud.Invalid, 0, false},
		{"ftp://a/", `}}}`, cloud.Invalid, 0, false},
	} {
		res := send(tt.path, tt.more)
		e, again := errors.AsType[*sendError](res.Err)
		if cloud.KindOf(res.Err) != tt.kind || again != (tt.kind == cloud.Unreachable || tt.kind == cloud.Timeout) {
			t.Errorf("%s: got %v (%s), want %s", tt.path, res.Err, cloud.KindOf(res.Err), tt.kind)
			continue
		}
		// The pause is counted from a moment in milliseconds.
		if again && (e.free != tt.free || tt.after-e.RetryAfter().Round(time.Second) != 0) {
			t.Errorf("%s: got %v after %v, want %v after %v", tt.path, e.free, e.after, tt.free, tt.after)
		}
		if strings.Contains(res.Trace.Message, "tell-nobody") {
			t.Errorf("%s tells the secret", res.Trace.Message)
		}
	}
	// Five failures in a row hold the host, one success lets it go.
	for range 5 {
		send(server.URL+"/broken", `}}}`)
	}
	if wait := held.Time().Sub(time.Now()); wait < time.Minute || len(s.Breakers.Hosts(cloud.AppID{1})) != 2 {
		t.Errorf("held for %v, failing %+v", wait, s.Breakers.Hosts(cloud.AppID{1}))
	}
	if send(server.URL+"/ok", `}}}`); held != 0 {
		t.Errorf("held until %v after a success", held)
	}
}
