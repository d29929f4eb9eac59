package web

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"picloud/app/cloud"
)

func TestScriptHeaders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   http.Header
		want map[string]string
	}{
		{"lower-case and joined", http.Header{"X-A": {"1", "2"}, "Accept": {"*/*"}}, map[string]string{"x-a": "1, 2", "accept": "*/*"}},
		{"the session is not the script's", http.Header{"Cookie": {"a=1; picloud_session=secret; b=2"}}, map[string]string{"cookie": "a=1; b=2"}},
		{"only the session", http.Header{"Cookie": {"picloud_session=secret"}}, map[string]string{}},
		{"two cookie headers", http.Header{"Cookie": {"a=1", " picloud_session = secret"}}, map[string]string{"cookie": "a=1"}},
		{"other cookies stay as sent", http.Header{"Cookie": {`a="1";b=2`}}, map[string]string{"cookie": `a="1";b=2`}},
		{"our key", http.Header{"Authorization": {"bearer pic_abc"}}, map[string]string{}},
		{"somebody's token", http.Header{"Authorization": {"Bearer eyJ"}}, map[string]string{"authorization": "Bearer eyJ"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := scriptHeaders(tt.in)
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			for k, v := range tt.want {
				if got[k] != v {
					t.Errorf("%s: got %q, want %q", k, got[k], v)
				}
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	w.Header().Set(headerExecution, "ours")
	new(Server).answer(w, newRequest("GET", "/"), &cloud.Result{StatusCode: 201, Body: []byte("<b>"), Header: map[string]string{
		"x-a": "1", "content-length": "999", "transfer-encoding": "chunked", "connection": "upgrade",
		"x-picloud-execution-id": "theirs",
		"set-cookie":             "a=1; Path=/\npicloud_session=stolen; Path=/\n=picloud_session=stolen\nb=2\n picloud_session =x",
	}})
	h := w.Result().Header
	if w.Code != 201 || w.Body.String() != "<b>" || h.Get("X-A") != "1" || h.Get("Content-Length") != "3" || h.Get(headerExecution) != "ours" {
		t.Errorf("got %d %v %q", w.Code, h, w.Body)
	}
	for _, name := range []string{"Content-Type", "Connection", "Transfer-Encoding"} {
		if h.Get(name) != "" {
			t.Errorf("%s: got %q, want none", name, h.Get(name))
		}
	}
	if got, want := h.Values("Set-Cookie"), []string{"a=1; Path=/", "b=2"}; !slices.Equal(got, want) {
		t.Errorf("cookies: got %q, want %q", got, want)
	}
}

func TestAnswerWithoutBody(t *testing.T) {
	t.Parallel()
	for _, status := range []int{204, 304} {
		w := httptest.NewRecorder()
		new(Server).answer(w, newRequest("GET", "/"), &cloud.Result{StatusCode: status, Body: []byte("x")})
		if w.Code != status || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "" {
			t.Errorf("%d: got %d %v %q", status, w.Code, w.Header(), w.Body)
		}
	}
	w := httptest.NewRecorder()
	new(Server).answer(w, newRequest("HEAD", "/"), &cloud.Result{StatusCode: 200, Body: []byte("four")})
	if w.Body.Len() != 0 || w.Header().Get("Content-Length") != "4" {
		t.Errorf("HEAD: got %v %q", w.Header(), w.Body)
	}
}

func TestCallersView(t *testing.T) {
	t.Parallel()
	for _, kind := range []cloud.Kind{cloud.ScriptError, cloud.Invalid} {
		err := callersView(cloud.Errorf(kind, "secret of the script"))
		if cloud.KindOf(err) != kind || cloud.Message(err) == "secret of the script" {
			t.Errorf("%s: got %q", kind, cloud.Message(err))
		}
	}
}
