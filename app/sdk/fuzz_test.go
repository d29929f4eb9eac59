package sdk

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/app/outbound"
)

// given is a call of fn with arguments; what it refuses is told to the script, and what it
// answers is JSON.
func given(t *testing.T, c *Call, op string, arguments ...any) (out []byte, ok bool) {
	t.Helper()
	in, err := json.Marshal(arguments)
	if err != nil {
		t.Fatal(err)
	}
	out, err = funcs[op](c, in)
	if err != nil && cloud.KindOf(err) != cloud.Invalid || err == nil && out != nil && !json.Valid(out) {
		t.Fatalf("%s(%s): %q, %v", op, in, out, err)
	}
	return out, err == nil && out != nil
}

// FuzzForm: no multipart body breaks formData(), and what it finds is within the body.
func FuzzForm(f *testing.F) {
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--x--\r\n"))
	f.Add("multipart/form-data; boundary=\"x y\"", []byte("--x y\r\nContent-Disposition: form-data; name=\"a\"; filename=\"../../b\"\r\nContent-Type: text/plain\r\n\r\n\xff\r\n--x y--"))
	f.Add("multipart/form-data; boundary=x", []byte("--x\r\n\r\n\r\n--x\r\n\r\n\r\n--x"))
	f.Add("multipart/form-data", []byte("--"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		out, ok := given(t, &Call{shared: &shared{}}, "web.multipart", contentType, base64.StdEncoding.EncodeToString(body))
		if !ok {
			return
		}
		var parts []struct {
			Name, File, Type string
			Data             []byte
		}
		if err := json.Unmarshal(out, &parts); err != nil || len(parts) > maxFormParts {
			t.Fatalf("%d parts, %v", len(parts), err)
		}
		total := 0
		for _, p := range parts {
			total += len(p.Data)
		}
		if total > len(body) {
			t.Errorf("the parts have %d bytes, the body %d", total, len(body))
		}
	})
}

// FuzzURL: whatever is read as a URL reads the same when it is read again, whatever is set
// on it.
func FuzzURL(f *testing.F) {
	f.Add("https://user:pw@example.org:8080/a/../b?c=d#e", "", "host", "b.org:1")
	f.Add("../x?y", "http://a/b/c", "port", "99999")
	f.Add("http://[::1]/", "", "hostname", "xn--a")
	f.Add("file:///C|/x", "", "protocol", "http")
	f.Add("http://1.2.0x3/%2e%2e", "", "pathname", "//x")
	f.Add("data:,x", "", "search", "?\x00")
	f.Fuzz(func(t *testing.T, text, base, part, value string) {
		c := &Call{shared: &shared{}}
		out, ok := given(t, c, "web.url", text, base)
		if !ok {
			return
		}
		var u []string
		if err := json.Unmarshal(out, &u); err != nil || len(u) != 11 {
			t.Fatalf("%s: %v", out, err)
		}
		if len(u[0]) > maxURL {
			return
		}
		if again, ok := given(t, c, "web.url", u[0], ""); !ok || string(again) != string(out) {
			t.Errorf("%q became %s and that %s", text, out, again)
		}
		given(t, c, "web.setUrl", u[0], part, value)
		given(t, c, "url.parse", text)
	})
}

// FuzzHTTPAnswer: no answer of another server breaks what a script gets.
func FuzzHTTPAnswer(f *testing.F) {
	f.Add("application/json; charset=utf-8", []byte(`{"a":1}`), "Set-Cookie", "a=b", 0)
	f.Add("text/html; charset=ISO-8859-1", []byte("caf\xe9"), "X", "\xff", 1)
	f.Add("text/plain; charset=\"", []byte("\x00"), "Content-Encoding", "gzip", 2)
	f.Add(";;", []byte(`{"a":1`), "", "", 3)
	forms := []string{"", asAuto, asJSON, asText, asBase64, asRaw}
	f.Fuzz(func(t *testing.T, contentType string, body []byte, name, value string, as int) {
		o := &httpOptions{As: forms[uint(as)%uint(len(forms))]}
		res := &outbound.Response{Status: 200, URL: "http://a/", Body: body, Header: http.Header{"Content-Type": {contentType}, name: {value, value}}}
		out, err := o.answer(res)
		if err != nil {
			if o.As != asJSON || cloud.KindOf(err) != cloud.Invalid {
				t.Errorf("%v", err)
			}
			return
		}
		if !json.Valid(out) || !utf8.Valid(out) {
			t.Errorf("as %q %q became %q", o.As, body, out)
		}
	})
}

// FuzzTime: a time that is read and written is the same time, in any layout and header.
func FuzzTime(f *testing.F) {
	f.Add("2026-01-02T15:04:05Z", "%Y-%m-%d %H:%M:%S.%L %j %%", "120")
	f.Add("2026-01-02", "%s %w %u", "Fri, 02 Jan 2026 15:04:05 GMT")
	f.Add("9999-12-31T23:59:59.999999999+23:59", "%", "-1")
	f.Add("0000-01-01", "%Q", "99999999999999999999")
	s := &HTTPSender{Now: func() time.Time { return time.Unix(1_700_000_000, 0) }}
	f.Fuzz(func(t *testing.T, text, layout, retryAfter string) {
		if d := s.retryAfter(retryAfter); d < 0 {
			t.Errorf("Retry-After: %q is %v", retryAfter, d)
		}
		ms, err := parseTime(text)
		if err != nil {
			return
		}
		again, err := parseTime(time.UnixMilli(ms).UTC().Format(isoLayout))
		if err != nil || again != ms {
			t.Errorf("%q is %d, written and read %d (%v)", text, ms, again, err)
		}
		if out, err := strftime(time.UnixMilli(ms).UTC(), layout); err == nil && len(out) > 64*(len(layout)+1) {
			t.Errorf("%q became %d bytes", layout, len(out))
		}
	})
}

// FuzzRegexp compares with Go's own package.
func FuzzRegexp(f *testing.F) {
	f.Add(`(a+)(b)?`, "aab", "$1-$2")
	f.Add(`\b`, "a b", "$$")
	f.Add(`(?i)\Qx`, "Xx", "$0$10")
	f.Add(`(?P<n>.)|`, "é\xff", "${n}")
	f.Add(`^|$|(?m)^`, "\n\n", "")
	f.Add(`(a{0,30}){0,30}`, "aaa", "")
	f.Fuzz(func(t *testing.T, pattern, text, by string) {
		c := &Call{shared: &shared{}, Ctx: t.Context(), Deadline: time.Now().Add(time.Minute)}
		out, ok := given(t, c, "regex.findAll", pattern, text)
		given(t, c, "regex.replaceAll", pattern, text, by)
		given(t, c, "regex.replace", pattern, text, by)
		given(t, c, "regex.split", pattern, text)
		given(t, c, "regex.captures", pattern, text)
		if !ok || !utf8.ValidString(pattern) || !utf8.ValidString(text) {
			return
		}
		var got []string
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		if want := regexp.MustCompile(pattern).FindAllString(text, -1); !slices.Equal(got, want) && strings.Join(got, "") != strings.Join(want, "") {
			t.Errorf("%q in %q: got %q, want %q", pattern, text, got, want)
		}
	})
}
