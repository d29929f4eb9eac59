package route

import (
	"strings"
	"unicode/utf8"

	"picloud/app/cloud"
)

// Kinds of path patterns; Exact is the third.
const (
	Param  = "param"
	Prefix = "prefix"
)

// Bounds of patterns and names.
const (
	maxPath     = 1024 // bytes
	maxSegments = 32
	maxName     = 64 // bytes
)

// pattern is a path pattern taken apart. Two patterns of one kind with the same key and
// slash are equal: they match the same paths.
type pattern struct {
	kind     string
	key      string // "/a/:/b": without a trailing slash, parameters without names
	segments int
	literals uint64 // which segments are literal; the first is the highest bit
	slash    bool   // written with a trailing slash
	params   []param
}

type param struct {
	name string
	at   int // index of the segment
}

func parsePattern(kind, path string) (pattern, error) {
	p := pattern{kind: kind}
	if kind != Exact && kind != Param && kind != Prefix {
		return p, invalidf("path_kind", "%q is unknown: it is %q, %q or %q", kind, Exact, Param, Prefix)
	}
	if err := checkText(path); err != nil {
		return p, err
	}
	if path == "/" {
		return p, p.complete()
	}
	inner := strings.TrimSuffix(path[1:], "/")
	p.slash = len(inner) < len(path)-1
	var key strings.Builder
	for seg := range strings.SplitSeq(inner, "/") {
		text, err := p.add(seg)
		if err != nil {
			return p, err
		}
		key.WriteByte('/')
		key.WriteString(text)
	}
	p.key = key.String()
	return p, p.complete()
}

// checkText refuses what no pattern may contain.
func checkText(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return invalidf("path", `%q must begin with "/"`, path)
	case len(path) > maxPath:
		return invalidf("path", "is longer than %d bytes", maxPath)
	case !utf8.ValidString(path):
		return invalidf("path", "is not UTF-8")
	case strings.Contains(path, "%"):
		return invalidf("path", "%q contains %%: write the characters themselves, requests are decoded before they are compared", path)
	case strings.ContainsAny(path, `\?#{}`) || strings.ContainsFunc(path, isControl):
		return invalidf("path", `%q contains a character that no pattern may have (\ ? # { } or a control character); a parameter is written ":name"`, path)
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

// add takes the next segment and returns what stands for it in the key.
func (p *pattern) add(seg string) (string, error) {
	at := p.segments
	if at == maxSegments {
		return "", invalidf("path", "has more than %d segments", maxSegments)
	}
	p.segments++
	switch {
	case seg == "":
		return "", invalidf("path", "has an empty segment (//)")
	case seg == "." || seg == "..":
		return "", invalidf("path", "has a dot segment (%s)", seg)
	case strings.HasPrefix(seg, "*"):
		return "", invalidf("path", "has the wildcard %q: leave it out and use path_kind %q", seg, Prefix)
	case seg[0] != ':':
		p.literals |= 1 << (63 - at)
		return seg, nil
	case p.kind != Param:
		return "", invalidf("path", "has the parameter %q: use path_kind %q", seg, Param)
	}
	name := seg[1:]
	if !isName(name) {
		return "", invalidf("path", "parameter %q needs a name of letters, digits and _ that begins with no digit, at most %d", seg, maxName)
	}
	for _, q := range p.params {
		if q.name == name {
			return "", invalidf("path", "has the parameter %q twice", seg)
		}
	}
	p.params = append(p.params, param{name, at})
	return ":", nil
}

func (p *pattern) complete() error {
	if p.kind == Param && len(p.params) == 0 {
		return invalidf("path", `has no parameter such as ":id": use path_kind %q`, Exact)
	}
	return nil
}

func isName(s string) bool {
	if s == "" || len(s) > maxName || '0' <= s[0] && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && !('a' <= c && c <= 'z') && !('A' <= c && c <= 'Z') && !('0' <= c && c <= '9') {
			return false
		}
	}
	return true
}

func invalidf(field, format string, args ...any) error {
	return cloud.Errorf(cloud.Invalid, field+": "+format, args...)
}
