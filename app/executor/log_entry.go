package executor

import (
	"encoding/json"
	"maps"
	"strings"
	"unicode/utf8"

	"picloud/app/cloud"
)

// Bounds of what one record keeps.
const (
	requestPreview  = 1 << 10 // bytes of a request's body
	responseSummary = 2 << 10 // bytes of the answer
	headerValue     = 512     // bytes of one header's value
)

// logEntry is an execution on its way into the log. Making it must be cheap and must not
// keep large bodies alive; the JSON is made when it is written.
type logEntry struct {
	x    cloud.Execution // without Request
	req  *loggedRequest
	hide func(string) string // secrets, in what is made into JSON later; nil: there are none
	size int                 // about what it holds, in bytes
}

// loggedRequest is what the log keeps of an HTTP request: nothing that lets its reader act
// for the caller.
type loggedRequest struct {
	Method  string            `json:"method"`
	Host    string            `json:"host"`
	Path    string            `json:"path"`
	Query   map[string]any    `json:"query"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"` // its beginning
	Bytes   int               `json:"body_bytes"`
}

func newLogEntry(inv *cloud.Invocation, res *cloud.Result, finished cloud.Time) *logEntry {
	started := res.Started
	if started.IsZero() { // it never ran
		started = finished
	}
	hide := hider(res)
	e := &logEntry{hide: res.Redact, x: cloud.Execution{
		ID: inv.ID, AppID: inv.App, ScriptID: inv.Script, ScriptVersion: res.ScriptVersion,
		Source: inv.Source, Op: inv.Op, TriggerID: inv.Trigger, RootExecutionID: inv.Root, ParentID: inv.Parent, EventID: inv.Row, BatchIDs: inv.Batch,
		Depth: inv.Depth, Attempt: inv.Attempt, Status: cloud.StatusOf(res.Err), StatusCode: res.StatusCode, Reruns: res.Reruns,
		DurationMS: res.DurationMS, StartedAt: started, FinishedAt: finished, Logs: res.Logs, ResponseSummary: summary(res),
	}}
	if res.Err != nil {
		if e.x.Error = res.Trace; e.x.Error == nil {
			e.x.Error = &cloud.Trace{Message: hide(cloud.Message(res.Err))}
		}
	}
	e.size = 512 + len(e.x.ResponseSummary)
	for _, line := range res.Logs {
		e.size += 64 + len(line.Message) + len(line.Fields)
	}
	if r := inv.Request; r != nil {
		e.req = &loggedRequest{
			Method: r.Method, Host: r.Host, Path: r.Path, Query: r.Query, Headers: r.Headers,
			Body: strings.Clone(cut(hide(r.RawBody), requestPreview)), Bytes: len(r.RawBody),
		}
		e.size += len(e.req.Body) + len(r.Path) + 64*len(r.Headers)
	}
	return e
}

// execution is the entry as the API shows it.
func (e *logEntry) execution() *cloud.Execution {
	x := e.x
	if e.req != nil {
		r := *e.req
		r.Headers = withoutSecrets(r.Headers)
		x.Request, _ = json.Marshal(r) // strings and JSON values alone: it can't fail
		if e.hide != nil {
			x.Request = json.RawMessage(e.hide(string(x.Request)))
		}
	}
	return &x
}

// hider is what hides the secrets that an execution read.
func hider(res *cloud.Result) func(string) string {
	if res.Redact != nil {
		return res.Redact
	}
	return func(s string) string { return s }
}

// summary is the beginning of an answer that is text.
func summary(res *cloud.Result) string {
	body := res.Body
	switch {
	case len(body) == 0:
		return ""
	case res.Redact != nil:
		body = []byte(res.Redact(string(body))) // before it is cut: a half secret can't be told
	}
	s := cut(string(body[:min(len(body), responseSummary+utf8.UTFMax)]), responseSummary)
	if !utf8.ValidString(s) {
		return "(binary)"
	}
	return s
}

// cut shortens s to at most n bytes, at the end of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// secretWords mark headers that are not kept, wherever they occur in the name.
var secretWords = []string{"authorization", "cookie", "api-key", "apikey", "token", "secret", "password", "signature", "credential", "session", "csrf", "jwt"}

// redacted stands for a secret's value.
const redacted = "(redacted)"

func withoutSecrets(h map[string]string) map[string]string {
	kept := maps.Clone(h)
	for name, v := range h {
		if isSecret(strings.ToLower(name)) {
			kept[name] = redacted
		} else if len(v) > headerValue {
			kept[name] = cut(v, headerValue)
		}
	}
	return kept
}

func isSecret(name string) bool {
	for _, w := range secretWords {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}
