package executor

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/app/outbound"
	"picloud/app/sdk"
)

// fetchEcho answers with what it was asked.
func fetchEcho(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch r.URL.Path {
	case "/slow":
		<-r.Context().Done()
	case "/redirect":
		http.Redirect(w, r, "/end", http.StatusFound)
	case "/none":
		w.WriteHeader(http.StatusNoContent)
	case "/bytes":
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
		w.Write([]byte{0xff, 0x00})
	default:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"method":%q,"path":%q,"type":%q,"x":%q,"body":"%x"}`, r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("X-A"), body)
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(fetchEcho))
	t.Cleanup(server.Close)
	allow, err := outbound.ParseAllow([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	client := outbound.New(outbound.Options{Allow: allow, Timeout: 30 * time.Second})
	t.Cleanup(client.CloseIdle)
	m := newMachine(t, Options{Services: sdk.Services{HTTP: client}})
	for _, tt := range []struct{ source, want string }{
		{`const r = await fetch(U); return [r.status, r.ok, r.statusText, r.url === U + "/", r.redirected, (await r.json()).method, r instanceof Response]`, `[200,true,"OK",true,false,"GET",true]`},
		{`const r = await fetch(new URL("/p", U), {method: "post", headers: {"x-a": "1"}, body: "hé"}); return r.json()`,
			`{"method":"POST","path":"/p","type":"text/plain;charset=UTF-8","x":"1","body":"68c3a9"}`},
		{`return http.post(U, {headers: new Headers([["x-a", "1"], ["X-A", "2"]]), body: "b"}).body.x`, `"1, 2"`},
		{`const r = await fetch(new Request(U, {method: "PUT", headers: [["x-a", "1"], ["X-A", "2"]], body: new Uint8Array([1, 255])})); const b = await r.json(); return b.body + b.x`, `"01ff1"`},
		{`const r = await fetch(U, {method: "POST", body: new URLSearchParams({a: "b c"})}); const b = await r.json(); return b.type`, `"application/x-www-form-urlencoded;charset=UTF-8"`},
		{`const r = await fetch(U, {method: "POST", body: ReadableStream.from(["a", "b"])}); return (await r.json()).body`, `"6162"`},
		{`const r = await fetch(U + "/bytes"); return [r.headers.getSetCookie(), Array.from(await r.bytes())]`, `[["a=1","b=2"],[255,0]]`},
		{`const r = await fetch(U + "/none"); return [r.status, r.body, await r.text()]`, `[204,null,""]`},
		{`const r = await fetch(U + "/redirect"); return [r.redirected, new URL(r.url).pathname]`, `[true,"/end"]`},
		{`const r = await fetch(U + "/redirect", {redirect: "manual"}); return [r.status, r.headers.get("location")]`, `[302,"/end"]`},
		{`const r = await Promise.all([fetch(U), fetch(U)]); return r.length`, `2`},
		{`return fetch("http://127.0.0.2:1/").catch((e) => e.name)`, `"forbidden"`},
		{`return fetch("http://169.254.169.254/latest/meta-data/").catch((e) => e.name)`, `"forbidden"`},
		{`return fetch("/relative").catch((e) => e.name)`, `"TypeError"`},
		{`return fetch("ftp://a/").catch((e) => e.name)`, `"invalid"`},
		{`return fetch(U + "/redirect", {redirect: "error"}).catch((e) => e.name)`, `"unreachable"`},
		{`return fetch(U + "/slow", {signal: AbortSignal.timeout(50)}).catch((e) => e.name)`, `"TimeoutError"`},
		{`return fetch(U, {signal: AbortSignal.abort()}).catch((e) => e.name)`, `"AbortError"`},
	} {
		s := m.scripts.save(cloud.Script{Source: `export default async () => { const U = "` + server.URL + `"; ` + tt.source + ` }`})
		res := m.call(s)
		got := string(res.Body)
		if res.Err != nil {
			got = res.Trace.Message
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.source, got, tt.want)
		}
	}
	early := m.scripts.save(cloud.Script{Source: `await fetch("http://a.test/"); export default () => 1`})
	if res := m.call(early); res.Err == nil || !strings.Contains(res.Trace.Message, "while the script loads") {
		t.Errorf("while loading: got %v %v", res.Err, res.Trace)
	}
}
