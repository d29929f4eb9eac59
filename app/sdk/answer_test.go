package sdk

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	"picloud/app/cloud"
)

// shape is a result in one line.
func shape(r *cloud.Result) string {
	s := fmt.Sprintf("%d %s %q", r.StatusCode, r.Header["content-type"], r.Body)
	if r.Discard {
		s += " discard"
	}
	return s
}

func TestAnswers(t *testing.T) { onEngines(t, false, checkAnswers) }

func checkAnswers(t *testing.T, s *sandbox) {
	tests := []struct{ name, script, want string }{
		{"object", `return {visits: 3}`, `200 application/json "{\"visits\":3}"`},
		{"string", `return "hi \u00e9\n"`, `200 application/json "\"hi é\\n\""`},
		{"empty string", `return ""`, `200 application/json "\"\""`},
		{"number", `return 4.5`, `200 application/json "4.5"`},
		{"boolean", `return false`, `200 application/json "false"`},
		{"null", `return null`, `200 application/json "null"`},
		{"list", `return [1, undefined]`, `200 application/json "[1,null]"`},
		{"undefined", `return`, `204  ""`},
		{"status alone", `return {statusCode: 201}`, `201  ""`},
		{"status with null", `return {statusCode: 200, body: null}`, `200  ""`},
		{"status and value", `return {statusCode: 404, body: {a: 1}}`, `404 application/json "{\"a\":1}"`},
		{"text without a type", `return {statusCode: 200, body: "x"}`, `200 application/json "\"x\""`},
		{"text as JSON", `return {statusCode: 200, headers: {"Content-Type": "application/json; charset=utf-8"}, body: "x"}`, `200 application/json; charset=utf-8 "\"x\""`},
		{"text as problem", `return {statusCode: 400, headers: {"content-type": "application/problem+json"}, body: "x"}`, `400 application/problem+json "\"x\""`},
		{"html", `return {statusCode: 200, headers: {"content-type": "text/html"}, body: "<p>a\u0000b\n</p>"}`, `200 text/html "<p>a\x00b\n</p>"`},
		{"value as text", `return {statusCode: 200, headers: {"content-type": "text/plain"}, body: 7}`, `200 text/plain "7"`},
		{"bytes", `return {statusCode: 200, isBase64: true, body: "AAH/"}`, `200 application/octet-stream "\x00\x01\xff"`},
		{"bytes with a type", `return {statusCode: 200, headers: {"content-type": "image/png"}, isBase64: true, body: "AAH/"}`, `200 image/png "\x00\x01\xff"`},
		{"no body with 204", `return {statusCode: 204, body: "x"}`, `204  ""`},
		{"inherited status", `return Object.create({statusCode: 202, body: 1})`, `202 application/json "1"`},
		{"HttpError", `throw new HttpError(402, {pay: true})`, `402 application/json "{\"pay\":true}" discard`},
		{"HttpError with text", `throw HttpError(404, "no such page")`, `404 application/json "\"no such page\"" discard`},
		{"HttpError alone", `throw new HttpError(410)`, `410  "" discard`},
		{"HttpError, inherited", `function Gone() { HttpError.call(this, 410); } Gone.prototype = Object.create(HttpError.prototype); throw new Gone()`, `410  "" discard`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, trace, err := s.run(tt.script)
			if trace != nil || err != nil {
				t.Fatalf("failed: %v %v", trace, err)
			}
			if got := shape(res); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestAnswersRefused(t *testing.T) { onEngines(t, false, checkAnswersRefused) }

func checkAnswersRefused(t *testing.T, s *sandbox) {
	tests := []struct{ name, script, want string }{
		{"function", `return function () {}`, "a function"},
		{"infinity", `return 1 / 0`, "Infinity"},
		{"a circle", `var a = []; a[0] = a; return a`, "circular"},
		{"a throwing toJSON", `return {toJSON: function () { throw new Error("no way") }}`, "no way"},
		{"toJSON of nothing", `return {toJSON: function () {}}`, "JSON can't hold"},
		{"status text", `return {statusCode: "200"}`, "statusCode"},
		{"status 99", `return {statusCode: 99}`, "statusCode"},
		{"status 101", `return {statusCode: 101}`, "statusCode"},
		{"status 600", `return {statusCode: 600}`, "statusCode"},
		{"status 200.5", `return {statusCode: 200.5}`, "statusCode"},
		{"status NaN", `return {statusCode: NaN}`, "statusCode"},
		{"status undefined", `return {statusCode: undefined}`, "statusCode"},
		{"HttpError without a status", `throw new HttpError()`, "statusCode"},
		{"body is a function", `return {statusCode: 200, body: function () {}}`, "a function"},
		{"headers are a list", `return {statusCode: 200, headers: ["a"]}`, "headers"},
		{"headers of a class", `return {statusCode: 200, headers: new RegExp("a")}`, "headers: want a plain object"},
		{"inherited headers", `return {statusCode: 200, headers: Object.create({a: "b"})}`, "headers: want a plain object"},
		{"header value is no number", `return {statusCode: 200, headers: {a: "b", c: 0 / 0}}`, "headers: c is NaN"},
		{"header value is a function", `return {statusCode: 200, headers: {a: function () {}}}`, "headers: a is a function"},
		{"header list with infinity", `return {statusCode: 200, headers: {a: [1, 1 / 0]}}`, "headers: a is Infinity"},
		{"headers are text", `return {statusCode: 200, headers: "a: b"}`, "headers"},
		{"header name", `return {statusCode: 200, headers: {"a b": "c"}}`, "header's name"},
		{"no header name", `return {statusCode: 200, headers: {"": "c"}}`, "header's name"},
		{"header value with a break", `return {statusCode: 200, headers: {a: "b\r\nSet-Cookie: x=y"}}`, "line break"},
		{"header list with a break", `return {statusCode: 200, headers: {"set-cookie": ["a=b", "c=d\ne"]}}`, "line break"},
		{"header value is an object", `return {statusCode: 200, headers: {a: {}}}`, "must be a string"},
		{"content-length", `return {statusCode: 200, headers: {"Content-Length": 5}}`, "set by PiCloud"},
		{"transfer-encoding", `return {statusCode: 200, headers: {"Transfer-Encoding": "chunked"}}`, "set by PiCloud"},
		{"connection", `return {statusCode: 200, headers: {connection: "close"}}`, "set by PiCloud"},
		{"our own", `return {statusCode: 200, headers: {"X-PiCloud-Execution-Id": "1"}}`, "set by PiCloud"},
		{"twice", `return {statusCode: 200, headers: {a: "1", A: "2"}}`, "twice"},
		{"too many", `return {statusCode: 200, headers: {a: new Array(40000).join("x")}}`, "headers have"},
		{"the dashboard's cookie", `return {statusCode: 200, headers: {"Set-Cookie": "picloud_session=x"}}`, "picloud_session"},
		{"not base64", `return {statusCode: 200, isBase64: true, body: "*"}`, "base64"},
		{"base64 of an object", `return {statusCode: 200, isBase64: true, body: {}}`, "base64"},
		{"base64 maybe", `return {statusCode: 200, isBase64: "yes", body: "AA=="}`, "isBase64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, trace, err := s.run(tt.script)
			if res != nil || trace != nil || cloud.KindOf(err) != cloud.Invalid {
				t.Fatalf("got %v, %v, %v; want an invalid answer", res, trace, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want something about %q", err, tt.want)
			}
		})
	}
}

func TestAnswerHeaders(t *testing.T) { onEngines(t, false, checkAnswerHeaders) }

func checkAnswerHeaders(t *testing.T, s *sandbox) {
	res, _, err := s.run(`return {statusCode: 200, headers: {"Set-Cookie": ["a=1; Path=/", "b=2"], "Cache-Control": ["no-store", "private"], "X-N": 5, "X-No": null, "X-T": true, "X-E": [], "X-U": undefined}}`)
	must(t, err)
	want := map[string]string{"set-cookie": "a=1; Path=/\nb=2", "cache-control": "no-store, private", "x-n": "5", "x-t": "true"}
	if got := fmt.Sprint(res.Header); got != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAnswerOutputLimit(t *testing.T) {
	t.Parallel()
	if _, err := Answer([]byte(`s12345678`), 10); err != nil {
		t.Errorf("10 bytes within 10: %v", err)
	}
	if _, err := Answer([]byte(`s123456789`), 10); cloud.KindOf(err) != cloud.BudgetExceeded {
		t.Errorf("11 bytes within 10: got %v, want budget_exceeded", err)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{"", "u", "s\xffx", `j{"a":1}`, "j", "xbecause", "r", "r{}\nu", `r{"statusCode":200}`, `r{"statusCode":200,"headers":{"a":"b"}}` + "\nstext", `h{"statusCode":404}` + "\nj1",
		`r{"statusCode":200,"headers":{"content-type":"text/html","set-cookie":["a","b"],"x":null}}` + "\ns<p>", `r{"statusCode":200,"isBase64":true}` + "\nsAAA="} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		res, err := Answer(in, 1<<10)
		if err != nil {
			if _, ok := errors.AsType[*cloud.Error](err); !ok || res != nil {
				t.Fatalf("%q: got %v and %T", in, res, err)
			}
			return
		}
		if res.StatusCode < 200 || res.StatusCode > 599 || len(res.Body) > 1<<10 {
			t.Fatalf("%q: got %s", in, shape(res))
		}
		for name, value := range res.Header {
			for line := range strings.SplitSeq(value, "\n") {
				if name != strings.ToLower(name) || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(line) || name != "set-cookie" && line != value {
					t.Fatalf("%q: header %q: %q", in, name, value)
				}
			}
		}
	})
}
