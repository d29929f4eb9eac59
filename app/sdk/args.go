package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"picloud/app/cloud"
)

// args takes the JSON array of a host call apart, one argument after the other, without
// reflection: kv calls come by the thousand. The first thing that is wrong stays in err, and
// from then on every method answers a zero value. An argument that is missing or null reads
// as the zero value where the method says so.
type args struct {
	rest []byte // what is left, without the brackets
	n    int    // arguments taken so far
	err  error
}

func readArgs(b []byte) *args {
	b = bytes.TrimSpace(b)
	if len(b) < 2 || b[0] != '[' || b[len(b)-1] != ']' {
		return &args{err: invalid("the arguments are not a list")}
	}
	return &args{rest: b[1 : len(b)-1]}
}

// raw is the next argument as JSON, nil when there is none or it is null.
func (a *args) raw() json.RawMessage {
	a.rest = skipSpace(a.rest)
	if a.err != nil || len(a.rest) == 0 {
		a.n++
		return nil
	}
	end := valueEnd(a.rest)
	v := a.rest[:end]
	tail := skipSpace(a.rest[end:])
	if end == 0 || len(tail) > 0 && tail[0] != ',' {
		a.err = invalid("argument %d can't be read", a.n+1)
		return nil
	}
	a.rest = tail[min(1, len(tail)):]
	a.n++
	if string(v) == "null" {
		return nil
	}
	return v
}

// tail is everything that is left, as one JSON value.
func (a *args) tail() json.RawMessage {
	if a.err != nil {
		return nil
	}
	v := a.rest
	a.rest = nil
	if !json.Valid(v) {
		a.err = invalid("the value is not JSON")
		return nil
	}
	return v
}

// text is the next argument, which must be a string.
func (a *args) text(name string) string {
	v := a.raw()
	if a.err != nil {
		return ""
	}
	s, ok := unquote(v)
	if !ok {
		a.wrong(name, "a string", v)
	}
	return s
}

// optionalText is "" when the argument is missing.
func (a *args) optionalText(name string) string {
	v := a.raw()
	if a.err != nil || v == nil {
		return ""
	}
	s, ok := unquote(v)
	if !ok {
		a.wrong(name, "a string", v)
	}
	return s
}

// label is text that things are told apart by, such as a key: it must be whole characters,
// since all halves of one read as the same U+FFFD.
func (a *args) label(name string) string {
	from := a.rest
	s := a.text(name)
	a.checkWhole(name, s, from)
	return s
}

// optionalLabel is "" when the argument is missing.
func (a *args) optionalLabel(name string) string {
	from := a.rest
	s := a.optionalText(name)
	a.checkWhole(name, s, from)
	return s
}

// checkWhole refuses s, which was read from the beginning of from, when it holds half characters.
func (a *args) checkWhole(name, s string, from []byte) {
	if a.err == nil && strings.Contains(s, "\ufffd") && halved(from[:len(from)-len(a.rest)]) {
		a.err = invalid("%s holds half a character (a lone surrogate), which is no valid Unicode", name)
	}
}

// number is the next argument, which must be a finite number; a missing one is standard.
func (a *args) number(name string, standard float64) float64 {
	v := a.raw()
	if a.err != nil {
		return 0
	}
	if v == nil {
		return standard
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || v[0] != '-' && (v[0] < '0' || v[0] > '9') || math.IsInf(f, 0) {
		a.wrong(name, "a number", v)
		return 0
	}
	return f
}

// invalid is the error for a caller's mistake.
func invalid(format string, args ...any) error {
	return cloud.Errorf(cloud.Invalid, format, args...)
}

// maxSafe is the greatest integer up to which a JavaScript number holds every integer.
const maxSafe = 1<<53 - 1

// integer is the next argument, a whole number of at least low and at most high.
func (a *args) integer(name string, low, high int64) int64 {
	v := a.raw()
	if a.err != nil {
		return 0
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f != math.Trunc(f) || f < float64(low) || f > float64(high) {
		a.wrong(name, "a whole number from "+strconv.FormatInt(low, 10)+" to "+strconv.FormatInt(high, 10), v)
		return 0
	}
	return int64(f)
}

// truth is the next argument, which must be a boolean; a missing one is false.
func (a *args) truth(name string) bool {
	v := a.raw()
	switch {
	case a.err != nil || v == nil:
		return false
	case string(v) != "true" && string(v) != "false":
		a.wrong(name, "true or false", v)
	}
	return string(v) == "true"
}

// data is the next argument as bytes: a string stands for its UTF-8, a list of numbers for
// its bytes.
func (a *args) data(name string) []byte {
	v := a.raw()
	if a.err != nil {
		return nil
	}
	if s, ok := unquote(v); ok {
		return []byte(s)
	}
	var list []uint8Number
	if len(v) == 0 || v[0] != '[' || json.Unmarshal(v, &list) != nil {
		a.wrong(name, "a string or a list of bytes (0 to 255)", v)
		return nil
	}
	out := make([]byte, len(list))
	for i, b := range list {
		out[i] = byte(b)
	}
	return out
}

// uint8Number keeps encoding/json from reading []byte as base64.
type uint8Number uint8

// texts is the next argument, which must be a list of strings, at most most of them; they are
// labels.
func (a *args) texts(name string, most int) []string {
	v := a.raw()
	if a.err != nil {
		return nil
	}
	var list []*string
	if len(v) == 0 || v[0] != '[' || json.Unmarshal(v, &list) != nil || slices.Contains(list, nil) {
		a.wrong(name, "a list of strings", v)
		return nil
	}
	if len(list) > most {
		a.err = invalid("%s has %d entries: at most %d are allowed, so ask in parts", name, len(list), most)
		return nil
	}
	if halved(v) {
		a.err = invalid("%s holds half a character (a lone surrogate), which is no valid Unicode", name)
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = *s
	}
	return out
}

// object is the next argument read into into, a pointer to a struct; a missing one leaves it.
func (a *args) object(name string, into any) {
	v := a.raw()
	if a.err != nil || v == nil {
		return
	}
	if v[0] != '{' {
		a.wrong(name, "an object", v)
		return
	}
	d := json.NewDecoder(bytes.NewReader(v))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		a.err = invalid("%s: %s must not be a %s", name, strings.ToLower(wrong.Field), wrong.Value)
	} else if err != nil {
		a.err = invalid("%s: %s", name, strings.TrimPrefix(err.Error(), "json: "))
	}
}

func (a *args) wrong(name, want string, got json.RawMessage) {
	if a.err == nil {
		a.err = invalid("%s must be %s, not %s", name, want, nameOf(got))
	}
}

// nameOf says what a JSON value is, without its content.
func nameOf(v json.RawMessage) string {
	if len(v) == 0 {
		return "undefined or null"
	}
	switch v[0] {
	case '"':
		return "a string"
	case '[':
		return "a list"
	case '{':
		return "an object"
	case 't', 'f':
		return "a boolean"
	}
	return string(v[:min(len(v), 24)])
}

func skipSpace(b []byte) []byte { return bytes.TrimLeft(b, " \t\r\n") }

// valueEnd is where the JSON value at the start of b ends, 0 when it has no end. It only
// looks for the end: what needs to be valid is checked by who reads it.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			n := stringEnd(b[i:])
			if n == 0 {
				return 0
			}
			i += n - 1
		case '[', '{':
			depth++
			continue
		case ']', '}':
			depth--
		case ',':
			if depth == 0 {
				return len(bytes.TrimRight(b[:i], " \t\r\n"))
			}
		default:
			continue
		}
		if depth < 0 {
			return 0
		}
		if depth == 0 {
			return i + 1
		}
	}
	if depth != 0 {
		return 0
	}
	return len(bytes.TrimRight(b, " \t\r\n"))
}

// stringEnd is where the string literal at the start of b ends, 0 when it has no end.
func stringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// unquote is the string that the literal b stands for; ok is false for anything else.
func unquote(b []byte) (s string, ok bool) {
	if len(b) < 2 || b[0] != '"' {
		return "", false
	}
	in := b[1 : len(b)-1]
	if bytes.IndexByte(in, '\\') < 0 && b[len(b)-1] == '"' && utf8.Valid(in) && plain(in) {
		return string(in), true
	}
	err := json.Unmarshal(b, &s)
	return s, err == nil
}

// halved reports that the JSON b holds half a character, as an escape or in bytes.
func halved(b []byte) bool {
	if !utf8.Valid(b) {
		return true
	}
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 {
			return false
		}
		b = b[i:]
		unit := escapedUnit(b)
		switch {
		case unit < 0:
			b = b[min(2, len(b)):]
			continue
		case utf16.IsSurrogate(unit) && utf16.DecodeRune(unit, escapedUnit(b[6:])) == utf8.RuneError:
			return true
		case utf16.IsSurrogate(unit):
			b = b[6:]
		}
		b = b[6:]
	}
}

// escapedUnit is the number in the escape \uXXXX that b begins with, -1 when there is none.
func escapedUnit(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}

// plain reports that nothing in b would need an escape in a JSON string.
func plain(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
