package sdk

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/app/data"
)

func TestSecretsGet(t *testing.T) {
	onEngines(t, true, func(t *testing.T, s *sandbox) {
		s.services.Secrets = data.NewSecrets(s.db, data.SecretsOptions{File: filepath.Join(t.TempDir(), data.KeyFile)})
		inv := publicCall()
		s.begin(inv)
		_, err := s.services.Secrets.Put(t.Context(), inv.App, "token", "s3cret")
		must(t, err)
		if got := s.value(`return [secrets.get("token"), secrets.get("none") === undefined]`); got != `["s3cret",true]` {
			t.Errorf("got %s", got)
		}
		if got := s.thrown(`secrets.get()`); got != "invalid: the name must be a string, not undefined or null" {
			t.Errorf("got %s", got)
		}
		// One execution sees one value, whatever happens meanwhile.
		_, err = s.services.Secrets.Put(t.Context(), inv.App, "token", "changed")
		must(t, err)
		if got := s.value(`return secrets.get("token")`); got != `"s3cret"` {
			t.Errorf("got %s", got)
		}
		s.begin(inv)
		if got := s.value(`return secrets.get("token")`); got != `"changed"` {
			t.Errorf("got %s", got)
		}
		s.begin(publicCall()) // of another app
		if got := s.value(`return secrets.get("token") === undefined`); got != "true" {
			t.Errorf("got %s", got)
		}
	})
}

func TestRedact(t *testing.T) {
	t.Parallel()
	c := &Call{shared: &shared{secrets: map[string]string{"a": `p"w<d&+`, "b": "short", "long": `longer p"w<d&+`, "n": "12345678"}}}
	hide := c.Redactor()
	for _, tt := range []struct{ text, want string }{
		{`it is p"w<d&+!`, "it is [redacted]!"},
		{`{"a":"p\"w<d&+"}`, `{"a":"[redacted]"}`},
		{`{"a":"p\"w\u003cd\u0026+"}`, `{"a":"[redacted]"}`},
		{"?q=p%22w%3Cd%26%2B", "?q=[redacted]"},
		{"cCJ3PGQmKw==", "[redacted]"},
		{`longer p"w<d&+`, "[redacted]"},
		{"short stays", "short stays"},
		{`the end is cut: longer p"w<…`, "the end is cut: [redacted]…"},
		{"nothing…", "nothing…"},
	} {
		if got := hide(tt.text); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.text, got, tt.want)
		}
	}
	res := &cloud.Result{
		Logs: []cloud.LogLine{{Message: "12345678", Fields: json.RawMessage(`{"pin":12345678}`)}, {Message: "x", Fields: json.RawMessage(`{"s":"12345678"}`)}},
	}
	res.Trace = &cloud.Trace{Message: "Error: 12345678", Stack: "at 12345678"}
	c.Redact(res)
	all, err := json.Marshal([]any{res.Logs, res.Trace})
	must(t, err)
	if strings.Contains(string(all), "12345678") || string(res.Logs[1].Fields) != `{"s":"[redacted]"}` {
		t.Errorf("got %s", all)
	}
	if (&Call{shared: &shared{secrets: map[string]string{"b": "short"}}}).Redactor() != nil {
		t.Error("a short secret is hidden")
	}
}
