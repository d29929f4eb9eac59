package web

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"picloud/app/cloud"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		kind       cloud.Kind
		mention    string // in the message
	}{
		{"whole", `{"name":"a","source":"b","timeout_seconds":3,"limits":{"operations":5}}`, "", ""},
		{"with white space", " {\"name\":\"a\",\n\"source\":\"b\"} \n", "", ""},
		{"null counts as left out", `{"name":"a","source":"b","timeout_seconds":null}`, "", ""},
		{"no body", ``, cloud.Invalid, "name"},
		{"missing field", `{"name":"a"}`, cloud.Invalid, "source"},
		{"unknown field", `{"name":"a","source":"b","colour":"red"}`, cloud.BadRequest, "colour"},
		{"unknown field inside", `{"name":"a","source":"b","limits":{"speed":1}}`, cloud.BadRequest, "limits.speed"},
		{"other case", `{"Name":"a","source":"b"}`, cloud.BadRequest, "Name"},
		{"unknown field beside a missing one", `{"name":"a","sauce":"b"}`, cloud.BadRequest, "sauce"},
		{"wrong type", `{"name":1,"source":"b"}`, cloud.BadRequest, "name: want a string"},
		{"wrong type inside", `{"name":"a","source":"b","limits":{"operations":"1"}}`, cloud.BadRequest, "limits.operations: want a whole number"},
		{"fraction", `{"name":"a","source":"b","timeout_seconds":1.5}`, cloud.BadRequest, "timeout_seconds: want a whole number"},
		{"number out of range", `{"name":"a","source":"b","timeout_seconds":1e99}`, cloud.BadRequest, "timeout_seconds"},
		{"list instead of an object", `[]`, cloud.BadRequest, "the body: want an object"},
		{"null instead of an object", `null`, cloud.BadRequest, "the body: want an object"},
		{"scalar for an object", `{"name":"a","source":"b","limits":3}`, cloud.BadRequest, "limits: want an object"},
		{"trailing text", `{"name":"a","source":"b"}{}`, cloud.BadRequest, "byte"},
		{"cut off", `{"name":"a"`, cloud.BadRequest, "JSON"},
		{"as deep as may be", `{"name":` + strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1) + `,"source":"\"[{"}`, cloud.BadRequest, "name: want a string"},
		{"too deep", `{"name":"\"]}","source":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`, cloud.BadRequest, "nested more than"},
		{"not UTF-8", "{\"name\":\"\xff\",\"source\":\"b\"}", cloud.BadRequest, "UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", "application/json; charset=utf-8")
			var in scriptInput
			err := decodeBody(httptest.NewRecorder(), r, 4<<10, &in)
			if got := cloud.KindOf(err); got != tt.kind {
				t.Fatalf("kind: got %q (%v), want %q", got, err, tt.kind)
			}
			if err != nil && !strings.Contains(err.Error(), tt.mention) {
				t.Errorf("message: got %q, want one that mentions %q", err, tt.mention)
			}
		})
	}
}

func TestDecodeID(t *testing.T) {
	t.Parallel()
	var in kvTriggerInput
	err := decode([]byte(`{"script_id":"nonsense","collection_glob":"*"}`), &in)
	if cloud.KindOf(err) != cloud.BadRequest || !strings.HasPrefix(err.Error(), "script_id: ") {
		t.Errorf("got %v, want a bad_request that names script_id", err)
	}
}

func TestDecodeBodyBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		size    int
		chunked bool
		ct      string
		want    cloud.Kind
	}{
		{"at the limit", 100, false, "application/json", ""},
		{"over the limit", 101, false, "application/json", cloud.TooLarge},
		{"over the limit, length unknown", 101, true, "application/json", cloud.TooLarge},
		{"at the limit, length unknown", 100, true, "application/json", ""},
		{"no type", 100, false, "", ""},
		{"a type a foreign form can send", 100, false, "text/plain", cloud.BadRequest},
		{"a type of JSON's family", 100, false, "application/merge-patch+json", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := `{"reason":"` + strings.Repeat("x", tt.size-len(`{"reason":""}`)) + `"}`
			r := httptest.NewRequest("POST", "/", strings.NewReader(body))
			if tt.chunked {
				r.ContentLength = -1
			}
			if tt.ct != "" {
				r.Header.Set("Content-Type", tt.ct)
			}
			var in reasonInput
			if got := cloud.KindOf(decodeBody(httptest.NewRecorder(), r, 100, &in)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDecodeQuery(t *testing.T) {
	t.Parallel()
	var in executionQuery
	id := cloud.NewID[cloud.ScriptID]()
	if err := decodeQuery("script_id="+id.String()+"&status=error&since=2026-01-02T03:04:05Z&limit=7&cursor=abc&_=1", &in); err != nil {
		t.Fatal(err)
	}
	page, err := in.page()
	if err != nil || in.ScriptID != id || in.Status != cloud.StatusError || in.Since.String() != "2026-01-02T03:04:05.000Z" || page.Limit != 7 || page.Cursor != "abc" {
		t.Errorf("got %+v %+v %v", in, page, err)
	}
	for _, bad := range []string{"limit=x", "limit=1.5", "limit=0", "limit=201", "limit=-1", "since=yesterday", "script_id=7", "limit=%", "source=%ff", "limit={}"} {
		var in executionQuery
		err := decodeQuery(bad, &in)
		if err == nil {
			_, err = in.page()
		}
		if cloud.KindOf(err) != cloud.BadRequest {
			t.Errorf("%s: got %v, want a bad_request", bad, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"name":"a","source":"b","limits":{"operations":5}}`))
	f.Add([]byte(`{"name":{"":[]},"x":null}`))
	f.Add([]byte("[[[[[[\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []any{&scriptInput{}, &kvTriggerInput{}, &resolveManyInput{}, &keyInput{}, &executeInput{}, &kvInput{}} {
			switch kind := cloud.KindOf(decode(b, v)); kind {
			case "", cloud.BadRequest, cloud.Invalid:
			default:
				t.Errorf("%T: kind %q", v, kind)
			}
		}
	})
}

func FuzzDecodeQuery(f *testing.F) {
	f.Add("limit=1&cursor=x&since=2026-01-02T03:04:05Z")
	f.Add("limit=%00&status=;&script_id=")
	f.Fuzz(func(t *testing.T, q string) {
		var in executionQuery
		if kind := cloud.KindOf(decodeQuery(q, &in)); kind != "" && kind != cloud.BadRequest {
			t.Errorf("kind %q", kind)
		}
	})
}

func TestRequestBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, ct, body string
		want, raw      string
		base64         bool
		kind           cloud.Kind
	}{
		{name: "empty", ct: "application/json", want: `null`},
		{name: "JSON", ct: "Application/JSON; charset=utf-8", body: `{"b": 1, "a":[2]}`, want: `{"b": 1, "a":[2]}`, raw: `{"b": 1, "a":[2]}`},
		{name: "JSON's family", ct: "application/ld+json", body: `7`, want: `7`, raw: `7`},
		{name: "malformed JSON", ct: "application/json", body: `{"a":`, kind: cloud.BadRequest},
		{name: "JSON with text behind it", ct: "application/json", body: `1 2`, kind: cloud.BadRequest},
		{name: "form", ct: "application/x-www-form-urlencoded", body: `a=1&b=x+y&a=2&c`, want: `{"a":"2","b":"x y","c":""}`, raw: `a=1&b=x+y&a=2&c`},
		{name: "malformed form", ct: "application/x-www-form-urlencoded", body: `a=%zz`, kind: cloud.BadRequest},
		{name: "text", ct: "text/plain", body: "hé \"x\"\n", want: `"hé \"x\"\n"`, raw: "hé \"x\"\n"},
		{name: "text that isn't UTF-8", ct: "text/html", body: "a\xffb", want: "\"a\uFFFDb\"", raw: "a\uFFFDb"},
		{name: "anything else", ct: "image/png", body: "\x89PNG", want: `"iVBORw=="`, raw: "iVBORw==", base64: true},
		{name: "no type", body: `{}`, want: `"e30="`, raw: "e30=", base64: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var req cloud.Request
			err := decodeRequestBody(&req, tt.ct, []byte(tt.body))
			if got := cloud.KindOf(err); got != tt.kind {
				t.Fatalf("kind: got %q (%v), want %q", got, err, tt.kind)
			}
			if string(req.Body) != tt.want && err == nil || req.RawBody != tt.raw || req.IsBase64 != tt.base64 {
				t.Errorf("got %s, raw %q, base64 %v; want %s, %q, %v", req.Body, req.RawBody, req.IsBase64, tt.want, tt.raw, tt.base64)
			}
		})
	}
}

func FuzzRequestBody(f *testing.F) {
	for _, ct := range []string{"application/json", "application/x-www-form-urlencoded", "text/plain", "x/y", ";;"} {
		f.Add(ct, []byte(`{"a":1}`))
	}
	f.Fuzz(func(t *testing.T, ct string, b []byte) {
		var req cloud.Request
		err := decodeRequestBody(&req, ct, b)
		if kind := cloud.KindOf(err); kind != "" && kind != cloud.BadRequest {
			t.Fatalf("kind %q", kind)
		}
		if err == nil && !json.Valid(req.Body) {
			t.Errorf("body is not JSON: %q", req.Body)
		}
		if err == nil && len(b) == 0 && !bytes.Equal(req.Body, null) {
			t.Errorf("empty body became %s", req.Body)
		}
	})
}

func TestQueryValues(t *testing.T) {
	t.Parallel()
	got, _ := json.Marshal(decodeQueryValues("a=1&b=2&b=3&c=&d=%zz"))
	if want := `{"a":"1","b":["2","3"],"c":""}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
