package sdk

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
)

func id(last byte) [16]byte {
	return [16]byte{1, 0x93, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, last}
}

func TestContextOfRequest(t *testing.T) {
	t.Parallel()
	c := &Call{
		Deadline: time.UnixMilli(1767366245000),
		Script:   &cloud.Script{ID: id(2), Name: `he"llo`, Version: 4, AppSlug: "demo"},
		Inv: &cloud.Invocation{
			App: id(1), ID: id(3), Root: id(3), Attempt: 1,
			Request: &cloud.Request{
				Method: "POST", Host: "example.org", Path: "/a", Params: map[string]string{"id": "7"},
				Query: map[string]any{"q": "x", "r": []string{"1", "2"}, "s": []any{"3"}}, Headers: map[string]string{"b": "2", "a": "1"},
				Body: json.RawMessage(`{"n":1}`), RawBody: `{"n":1}`, Rest: "z", RemoteAddress: "192.0.2.1",
			},
		},
	}
	want := `{"app":{"id":"01930000-0000-7000-8000-000000000001","slug":"demo"},"script":{"id":"01930000-0000-7000-8000-000000000002","name":"he\"llo","version":4},` +
		`"executionId":"01930000-0000-7000-8000-000000000003","rootExecutionId":"01930000-0000-7000-8000-000000000003","depth":0,"attempt":1,` +
		`"idempotencyKey":"01930000-0000-7000-8000-000000000003","deadline":1767366245000,"principal":null,` +
		`"request":{"method":"POST","host":"example.org","path":"/a","url":"http://example.org/a?q=x&r=1&r=2&s=3","params":{"id":"7"},"query":{"q":"x","r":["1","2"],"s":["3"]},"headers":{"a":"1","b":"2"},` +
		`"body":{"n":1},"rawBody":"{\"n\":1}","rest":"z","remoteAddress":"192.0.2.1"}}`
	if got := string(c.Context()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestContextInScripts(t *testing.T) { onEngines(t, false, checkContextInScripts) }

func checkContextInScripts(t *testing.T, s *sandbox) {
	tests := []struct {
		name         string
		change       func(*cloud.Invocation)
		script, want string
	}{
		{"public", func(*cloud.Invocation) {}, `return [ctx.principal, "event" in ctx, "request" in ctx, typeof ctx.commit, ctx.attempt]`, `[null,false,false,"function",1]`},
		{"empty request", func(i *cloud.Invocation) { i.Request = &cloud.Request{} }, `var r = ctx.request; return [r.params, r.query, r.headers, r.body, r.rawBody, "is_base64" in r]`, `[{},{},{},null,"",false]`},
		{"bytes", func(i *cloud.Invocation) {
			i.Request = &cloud.Request{Body: json.RawMessage(`"AA=="`), RawBody: "AA==", IsBase64: true}
		}, `return [ctx.request.body, ctx.request.is_base64]`, `["AA==",true]`},
		{"odd text", func(i *cloud.Invocation) {
			i.Request = &cloud.Request{RawBody: "a\x00\xffé\u2028\"\\\n\x7f"}
		}, `return ctx.request.rawBody === "a\u0000\ufffdé\u2028\"\\\n\x7f"`, `true`},
		{"event", func(i *cloud.Invocation) {
			i.Event, i.Key, i.Attempt, i.Depth = json.RawMessage(`{"source":"kv","op":"delete","kv":{"collection":"a","key":"k","oldValue":1}}`), "evt", 3, 2
		}, `return ["event" in ctx, ctx.event.op, "value" in ctx.event.kv, ctx.idempotencyKey, ctx.attempt, ctx.depth]`, `[true,"delete",false,"evt",3,2]`},
		{"principal", func(i *cloud.Invocation) {
			i.Principal = &cloud.Principal{User: id(9), Username: "ada", Role: cloud.Owner}
		}, `return [ctx.principal.id, ctx.principal.username, ctx.principal.role]`, `["01930000-0000-7000-8000-000000000009","ada","app_admin"]`},
		{"stranger", func(i *cloud.Invocation) {
			i.Principal = &cloud.Principal{User: id(9), Username: "eve", Role: cloud.Member}
		}, `return ctx.principal.role`, `null`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv := publicCall()
			tt.change(inv)
			s.begin(inv)
			if got := s.value(tt.script); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func FuzzContext(f *testing.F) {
	f.Add("GET", "/a", "name", "value", "raw\x00\xff", []byte(`{"a":1}`))
	f.Add("", "", "\"", "\\", "\u2028", []byte(nil))
	f.Fuzz(func(t *testing.T, method, path, name, value, raw string, body []byte) {
		if !json.Valid(body) {
			body = nil
		}
		c := &Call{Script: &cloud.Script{Name: name, AppSlug: value}, Inv: publicCall(), Deadline: time.UnixMilli(1)}
		c.Inv.Request = &cloud.Request{Method: method, Path: path, Params: map[string]string{name: value}, Query: map[string]any{name: []any{value}}, Headers: map[string]string{name: value}, RawBody: raw, Body: body}
		var got struct{ Request cloud.Request }
		if err := json.Unmarshal(c.Context(), &got); err != nil {
			t.Fatalf("%s: %v", c.Context(), err)
		}
		valid := func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }
		r := got.Request
		// ToValidUTF8 joins neighbours that are wrong; so does this comparison.
		same := func(a, b string) bool {
			return strings.ReplaceAll(a, "\ufffd", "") == strings.ReplaceAll(valid(b), "\ufffd", "")
		}
		if !same(r.Method, method) || !same(r.Path, path) || !same(r.RawBody, raw) || len(r.Params) != 1 || !same(slices.Collect(maps.Values(r.Params))[0], value) {
			t.Fatalf("got %+v", r)
		}
	})
}

func BenchmarkContext(b *testing.B) {
	c := &Call{Script: &cloud.Script{Name: "hello", AppSlug: "default"}, Inv: publicCall()}
	c.Inv.Request = &cloud.Request{Method: "GET", Host: "localhost:8080", Path: "/hello", Headers: map[string]string{"user-agent": "curl/8", "accept": "*/*"}, RemoteAddress: "127.0.0.1"}
	b.ReportAllocs()
	for b.Loop() {
		c.Context()
	}
}
