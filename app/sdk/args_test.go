package sdk

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"picloud/app/cloud"
)

func TestArgs(t *testing.T) {
	t.Parallel()
	a := readArgs([]byte(` ["a\u00e9\n", 1.5e2 ,null,true,["x","y"],[1,255],{"limit":3},"rest"] `))
	var o struct{ Limit int }
	text, number, none, truth, texts, data := a.text("1"), a.number("2", 0), a.number("3", 7), a.truth("4"), a.texts("5", 2), a.data("6")
	a.object("7", &o)
	last := string(a.tail())
	if a.err != nil {
		t.Fatal(a.err)
	}
	if text != "aé\n" || number != 150 || none != 7 || !truth || !slices.Equal(texts, []string{"x", "y"}) || string(data) != "\x01\xff" || o.Limit != 3 || last != `"rest"` {
		t.Errorf("got %q %v %v %v %v %v %v %s", text, number, none, truth, texts, data, o, last)
	}
}

func TestArgsRefuse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		read     func(*args)
		want     string
	}{
		{"no list", `{}`, func(a *args) { a.text("it") }, "not a list"},
		{"missing", `[]`, func(a *args) { a.text("it") }, "it must be a string, not undefined or null"},
		{"number for text", `[5]`, func(a *args) { a.text("it") }, "it must be a string, not 5"},
		{"open string", `["a]`, func(a *args) { a.text("it") }, "can't be read"},
		{"open list", `[[1]`, func(a *args) { a.text("it") }, "can't be read"},
		{"hexadecimal", `[0x10]`, func(a *args) { a.number("it", 0) }, "it must be a number"},
		{"infinity", `[1e999]`, func(a *args) { a.number("it", 0) }, "it must be a number"},
		{"not a number", `[NaN]`, func(a *args) { a.number("it", 0) }, "it must be a number"},
		{"half an integer", `[1.5]`, func(a *args) { a.integer("it", 0, 9) }, "it must be a whole number from 0 to 9, not 1.5"},
		{"text for truth", `["true"]`, func(a *args) { a.truth("it") }, "it must be true or false, not a string"},
		{"too many", `[["a","b"]]`, func(a *args) { a.texts("it", 1) }, "at most 1"},
		{"null among texts", `[["a",null]]`, func(a *args) { a.texts("it", 9) }, "it must be a list of strings"},
		{"no byte", `[[256]]`, func(a *args) { a.data("it") }, "it must be a string or a list of bytes"},
		{"unknown field", `[{"limt":1}]`, func(a *args) { a.object("it", &struct{ Limit int }{}) }, `unknown field "limt"`},
		{"field of another type", `[{"limit":"1"}]`, func(a *args) { a.object("it", &struct{ Limit int }{}) }, "it: limit must not be a string"},
		{"the first fault stays", `[1,2]`, func(a *args) { a.text("one"); a.text("two") }, "one must be"},
		{"half a character", `["a\ud800"]`, func(a *args) { a.label("it") }, "it holds half a character"},
		{"the second half alone", `["\udc00\ud800"]`, func(a *args) { a.optionalLabel("it") }, "it holds half a character"},
		{"half a character in bytes", "[\"\xed\xa0\x80\"]", func(a *args) { a.label("it") }, "it holds half a character"},
		{"half a character in a list", `[["a","\ud83d"]]`, func(a *args) { a.texts("it", 9) }, "it holds half a character"},
		{"tail", `["a",{]`, func(a *args) { a.text("it"); a.tail() }, "not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := readArgs([]byte(tt.in))
			tt.read(a)
			if cloud.KindOf(a.err) != cloud.Invalid || !strings.Contains(a.err.Error(), tt.want) {
				t.Errorf("got %v, want something about %q", a.err, tt.want)
			}
		})
	}
}

// FuzzArgs compares with encoding/json, and looks that no function trips over its arguments.
func FuzzArgs(f *testing.F) {
	for _, seed := range []string{`[]`, `["a","b",null,{"x":[1,"]"]}]`, `[1.5,-0,true,"\"\\\u00e9\ud83d"]`, `["a"`, `["a" "b"]`, `[,]`, ` [ 1 , 2 ] `, `["(a+)","aaa","$1"]`, `[[1,2],"bytes"]`, `[null,null]`, `[1767366245000,"%Y"]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c := &Call{shared: &shared{}, Ctx: t.Context(), Inv: publicCall()}
		for op, fn := range funcs {
			if module, _, _ := strings.Cut(op, "."); slices.Contains([]string{"kv", "pubsub", "queue", "secrets", "ctx"}, module) {
				continue // these need a store
			}
			out, err := fn(c, slices.Clone(in))
			if err != nil && cloud.KindOf(err) == cloud.Internal || err == nil && out != nil && !json.Valid(out) {
				t.Fatalf("%s(%q): %q, %v", op, in, out, err)
			}
		}
		var want []json.RawMessage
		if json.Unmarshal(in, &want) != nil || want == nil {
			return
		}
		a := readArgs(in)
		for i, w := range want {
			got := a.raw()
			if a.err != nil || string(got) != string(w) && !(got == nil && string(w) == "null") {
				t.Fatalf("argument %d of %q: got %q, want %q (%v)", i, in, got, w, a.err)
			}
			checkText(t, w)
		}
	})
}

func checkText(t *testing.T, v json.RawMessage) {
	var want string
	if v[0] != '"' || json.Unmarshal(v, &want) != nil {
		return
	}
	if got, ok := unquote(v); !ok || got != want {
		t.Fatalf("unquote %q: got %q, want %q", v, got, want)
	}
	var back string
	if err := json.Unmarshal(appendString(nil, want), &back); err != nil || back != want {
		t.Fatalf("%q written and read is %q (%v)", want, back, err)
	}
}

// What only looks like half a character is one of a label's own.
func TestArgsTakeWholeCharacters(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{`["\ud83d\ude00"]`: "😀", `["\ufffd"]`: "\ufffd", "[\"\ufffd\"]": "\ufffd", `["\\ud800\ufffd"]`: `\ud800` + "\ufffd"} {
		a := readArgs([]byte(in))
		if got := a.label("it"); got != want || a.err != nil {
			t.Errorf("%s: got %q, %v; want %q", in, got, a.err, want)
		}
		a = readArgs([]byte("[" + in + "]"))
		if got := a.texts("it", 1); !slices.Equal(got, []string{want}) || a.err != nil {
			t.Errorf("[%s]: got %q, %v; want %q", in, got, a.err, want)
		}
	}
}

func TestAppendStringWritesHalfCharacters(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in, want string }{
		{"alone", "\xed\xa0\x80", `"\ud800"`},
		{"several", "a\xed\xa0\xbd\xed\xbf\xbfb", `"a\ud83d\udfffb"`},
		{"next to whole ones", "\xed\x9f\xbf\xed\xaf\x8f\U0001f600", "\"\xed\x9f\xbf\\udbcf\U0001f600\""},
		{"cut short", "\xed\xa0", "\"\ufffd\ufffd\""},
		{"bytes that are no text", "\xff\xed\xa0z", "\"\ufffd\ufffd\ufffdz\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(appendString(nil, tt.in)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAppendNumber(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		f    float64
		want string
	}{{0, "0"}, {math.Copysign(0, -1), "0"}, {-1.5, "-1.5"}, {1e21, "1e+21"}, {maxSafe, "9007199254740991"}, {0.1, "0.1"}, {1e-7, "1e-07"}, {math.NaN(), "null"}, {math.Inf(1), "null"}} {
		if got := string(appendNumber(nil, tt.f)); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.f, got, tt.want)
		}
	}
}
