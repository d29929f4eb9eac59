package sdk

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"picloud/app/cloud"
)

func TestLog(t *testing.T) { onEngines(t, false, checkLog) }

func checkLog(t *testing.T, s *sandbox) {
	tests := []struct{ name, script, want string }{
		{"message", `log.info("hi")`, `info "hi" `},
		{"levels", `log.debug("a"); log.warn("b"); log.error("c"); console.log("d"); console.error("e")`, `debug "a" |warn "b" |error "c" |info "d" |error "e" `},
		{"fields", `log.info("hi", {a: [1], e: new TypeError("bad")})`, `info "hi" {"a":[1],"e":"TypeError: bad"}`},
		{"values", `console.log("n", 5, null, undefined, true, [1, "x"])`, `info "n 5 null undefined true [1,\"x\"]" `},
		{"an object", `console.log({a: 1})`, `info "{\"a\":1}" `},
		{"fields and more", `log.info("a", {b: 1}, "c")`, `info "a {\"b\":1} c" `},
		{"circle", `var a = {}; a.a = a; log.info(a); log.info("m", a)`, `info "[a value that can't be shown]" |info "m [a value that can't be shown]" `},
		{"fields that throw", `log.info("m", {toJSON: function () { throw new Error("no") }}); log.info("n", {get x() { throw 1 }})`, `info "m [a value that can't be shown]" |info "n [a value that can't be shown]" `},
		{"fields that come to nothing", `log.info("m", {toJSON: function () {}})`, `info "m [a value that can't be shown]" `},
		{"no fields in them", `log.info("m", {}); log.info("m", null); log.info("m", undefined)`, `info "m" {}|info "m null" |info "m undefined" `},
		{"nothing", `log.info()`, `info "undefined" `},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.begin(publicCall())
			s.value(tt.script + "; return null")
			var got []string
			for _, l := range s.call.Logs() {
				got = append(got, fmt.Sprintf("%s %q %s", l.Level, l.Message, l.Fields))
			}
			if text := strings.Join(got, "|"); text != tt.want {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
		})
	}
}

func TestLogOfAnErrorShowsWhere(t *testing.T) { onEngines(t, false, checkLogOfAnErrorShowsWhere) }

func checkLogOfAnErrorShowsWhere(t *testing.T, s *sandbox) {
	s.value(`log.error("it failed:", new Error("no disk")); return null`)
	if got := s.call.Logs()[0].Message; !strings.HasPrefix(got, "it failed: Error: no disk\n") || !strings.Contains(got, "at ") {
		t.Errorf("got %q", got)
	}
}

func TestLogLimits(t *testing.T) {
	t.Parallel()
	line := func(n int) cloud.LogLine {
		return cloud.LogLine{At: 5, Level: "info", Message: strings.Repeat("é", n/2), Fields: json.RawMessage(`{}`)}
	}
	t.Run("lines", func(t *testing.T) {
		b := newLogBuffer(cloud.Limits{LogLines: 2})
		for range 5 {
			b.add(line(10))
		}
		got := b.all()
		if len(got) != 3 || got[2].Message != "the log is full: 3 more lines were dropped" || got[2].Level != "warn" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		b := newLogBuffer(cloud.Limits{LogBytes: 25})
		b.add(line(10))
		b.add(line(20)) // has 13 bytes left, an odd number
		b.add(line(2))
		got := b.all()
		if len(got) != 3 || got[1].Message != "éééééé…" || got[1].Fields != nil {
			t.Errorf("got %v", got)
		}
	})
	t.Run("fields", func(t *testing.T) {
		b := newLogBuffer(cloud.Limits{LogBytes: 100})
		long := json.RawMessage(`{"a":"` + strings.Repeat("x", 100) + `"}`)
		b.add(cloud.LogLine{Level: "info", Message: "one", Fields: long})
		b.add(cloud.LogLine{Level: "info", Message: "two", Fields: json.RawMessage(`{}`)})
		b.add(cloud.LogLine{Level: "info", Message: strings.Repeat("y", 80), Fields: long})
		b.add(cloud.LogLine{Level: "info", Message: "three"})
		b.add(cloud.LogLine{Level: "info", Message: "four", Fields: long})
		var got []string
		for _, l := range b.all() {
			got = append(got, l.Message+string(l.Fields))
		}
		want := []string{"one" + fieldsCut, "two{}", strings.Repeat("y", 100-len("one"+fieldsCut+"two{}")) + "…", "the log is full: 2 more lines were dropped"}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
	t.Run("a line alone", func(t *testing.T) {
		b := newLogBuffer(cloud.Limits{LogBytes: 60})
		b.add(cloud.LogLine{Level: "info", Message: "m", Fields: json.RawMessage(strings.Repeat("1", 61))})
		if got := b.all(); len(got) != 1 || got[0].Message != "m"+fieldsCut || got[0].Fields != nil {
			t.Errorf("got %v, want the message and a hint", got)
		}
	})
	t.Run("standard", func(t *testing.T) {
		b := newLogBuffer(cloud.Limits{})
		for range DefaultLogLines {
			b.add(line(10))
		}
		if got := len(b.all()); got != DefaultLogLines {
			t.Errorf("got %d lines, want all %d", got, DefaultLogLines)
		}
	})
}
