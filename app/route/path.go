package route

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// reservedNames are the first segments that belong to the instance; so does every first
// segment that begins with "~".
var reservedNames = []string{"api", "admin", "healthz", "readyz", "version", "metrics", "realtime"}

func reservedTexts() []string {
	texts := []string{"/~"}
	for _, n := range reservedNames {
		texts = append(texts, "/"+n)
	}
	return texts
}

// Reserved reports whether path, decoded, belongs to the instance, so that no route may
// have it.
func Reserved(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return strings.HasPrefix(first, "~") || slices.Contains(reservedNames, first)
}

// query is a request's path taken apart, and what the search has learnt so far.
type query struct {
	raw      string // as received
	decoded  string // percent-decoded, with a trailing slash if it has one
	path     string // decoded, without the trailing slash
	slash    bool   // it had one
	segments int    // counted beyond maxSegments too
	ends     [maxSegments]int

	method string
	allow  []string // methods of routes that matched but for the method
}

// parse takes path apart and reports whether it can match at all.
func (q *query) parse(path string) bool {
	*q = query{raw: path}
	if path == "" || path[0] != '/' || strings.HasPrefix(path, "//") {
		return false
	}
	q.decoded = path
	if strings.IndexByte(path, '%') < 0 {
		q.split(path)
	} else if !q.decode(path) {
		return false
	}
	if !unambiguous(q.decoded) {
		return false
	}
	q.path = q.decoded
	if q.slash {
		q.path = q.decoded[:len(q.decoded)-1]
	}
	return true
}

// split notes where the segments end.
func (q *query) split(path string) {
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			q.end(i)
		}
	}
	if path[len(path)-1] == '/' {
		q.slash = true
	} else {
		q.end(len(path))
	}
}

func (q *query) end(at int) {
	if q.segments < maxSegments {
		q.ends[q.segments] = at
	}
	q.segments++
}

// decode decodes the path segment by segment, so that an encoded slash stays part of its
// segment.
func (q *query) decode(path string) bool {
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		switch c := path[i]; c {
		case '%':
			if i+2 >= len(path) {
				return false
			}
			hi, lo := unhex(path[i+1]), unhex(path[i+2])
			if hi > 15 || lo > 15 {
				return false
			}
			b = append(b, hi<<4|lo)
			i += 2
		case '/':
			if i > 0 {
				q.end(len(b))
			}
			b = append(b, c)
		default:
			b = append(b, c)
		}
	}
	q.decoded = string(b)
	if path[len(path)-1] == '/' {
		q.slash = true
	} else {
		q.end(len(b))
	}
	return true
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// unambiguous refuses what another reader of the path (a proxy, a file system, a browser)
// could take for a different path.
func unambiguous(path string) bool {
	if strings.HasPrefix(path, "//") || !utf8.ValidString(path) {
		return false
	}
	for i := range len(path) {
		switch c := path[i]; {
		case c < 0x20, c == 0x7f, c == '\\':
			return false
		case c == '/' && dotSegment(path[i+1:]):
			return false
		}
	}
	return true
}

func dotSegment(rest string) bool {
	if rest == "" || rest[0] != '.' {
		return false
	}
	seg, _, _ := strings.Cut(rest[:min(len(rest), 3)], "/")
	return seg == "." || seg == ".."
}

// segment is the i-th one, decoded; i < maxSegments.
func (q *query) segment(i int) string {
	start := 1
	if i > 0 {
		start = q.ends[i-1] + 1
	}
	return q.decoded[start:q.ends[i]]
}

// head is the first n segments, with their slashes.
func (q *query) head(n int) string {
	if n == 0 {
		return ""
	}
	return q.decoded[:q.ends[n-1]]
}

// rest is what follows the first n segments, without the slash between.
func (q *query) rest(n int) string {
	return strings.TrimPrefix(q.decoded[len(q.head(n)):], "/")
}

func (q *query) reserved() bool { return Reserved(q.decoded) }

// slug is that of /~slug/….
func (q *query) slug() (string, bool) {
	if q.segments == 0 {
		return "", false
	}
	return strings.CutPrefix(q.segment(0), "~")
}

// afterFirst is the raw path without its first segment.
func (q *query) afterFirst() string {
	if i := strings.IndexByte(q.raw[1:], '/'); i >= 0 {
		return q.raw[1+i:]
	}
	return "/"
}
