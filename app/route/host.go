package route

import (
	"iter"
	"maps"
	"strings"
	"unicode/utf8"

	"picloud/app/cloud"
)

// Kinds of hosts, of routes and of domains.
const (
	Any      = "any" // routes only
	Exact    = "exact"
	Wildcard = "wildcard"
)

// maxHost is the longest host name that DNS knows.
const maxHost = 253

// hosts is a set of routes by host: one tree of paths per host pattern.
type hosts struct {
	any   *tree
	exact map[string]*tree
	wild  map[string]*tree // by suffix, without "*."
}

// find tries the trees from the closest host pattern to the widest.
func (h *hosts) find(host string, q *query) *Match {
	if t := h.exact[host]; t != nil {
		if e := t.find(q); e != nil {
			return e.match(q, "")
		}
	}
	if len(h.wild) > 0 {
		for suffix := range suffixes(host) {
			t := h.wild[suffix]
			if t == nil {
				continue
			}
			if e := t.find(q); e != nil {
				return e.match(q, host[:len(host)-len(suffix)-1])
			}
		}
	}
	if h.any != nil {
		if e := h.any.find(q); e != nil {
			return e.match(q, "")
		}
	}
	return nil
}

func (h *hosts) clone() *hosts {
	if h == nil {
		return new(hosts)
	}
	c := *h
	return &c
}

// add puts e in. With cow the maps and trees on the way are copied first, because tables
// in use share them.
func (h *hosts) add(e *entry, cow bool) {
	h.change(e, cow, func(t *tree) { t.add(e, cow) })
}

func (h *hosts) remove(e *entry) {
	h.change(e, true, func(t *tree) { t.remove(e) })
}

func (h *hosts) change(e *entry, cow bool, f func(*tree)) {
	switch e.route.HostKind {
	case Exact:
		h.exact = owned(h.exact, cow)
		changeAt(h.exact, e.route.Host, cow, f)
	case Wildcard:
		h.wild = owned(h.wild, cow)
		changeAt(h.wild, strings.TrimPrefix(e.route.Host, "*."), cow, f)
	default:
		h.any = h.any.own(cow)
		f(h.any)
	}
}

// changeAt applies f to the tree at key and drops the tree when that left it empty.
func changeAt(m map[string]*tree, key string, cow bool, f func(*tree)) {
	t := m[key].own(cow)
	f(t)
	if t.empty() {
		delete(m, key)
		return
	}
	m[key] = t
}

// owned returns m, or a copy when cow, never nil.
func owned[K comparable, V any](m map[K]V, cow bool) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	if cow {
		return maps.Clone(m)
	}
	return m
}

// suffixes yields what is left of host without its first label, its first two, and so on.
func suffixes(host string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			_, rest, ok := strings.Cut(host, ".")
			if !ok || !yield(rest) {
				return
			}
			host = rest
		}
	}
}

// canonicalHost is the name in a Host header: without port, brackets and the root's dot,
// in lower case. What can't be a host name is "", which only routes for any host match.
func canonicalHost(h string) string {
	if strings.HasPrefix(h, "[") {
		h, _, _ = strings.Cut(h[1:], "]")
	} else if name, port, ok := strings.Cut(h, ":"); ok && !strings.Contains(port, ":") {
		h = name
	}
	h = strings.TrimSuffix(h, ".")
	if len(h) > maxHost || !utf8.ValidString(h) || strings.HasPrefix(h, ".") || strings.Contains(h, "..") {
		return ""
	}
	return strings.ToLower(h)
}

// CheckHost normalises an exact or wildcard host name to lower case. Names in other scripts
// are written in their ASCII form (xn--…).
func CheckHost(kind, host string) (string, error) {
	h := strings.ToLower(strings.TrimSuffix(host, "."))
	name := h
	switch kind {
	case Exact:
		if strings.HasPrefix(h, "*") {
			return "", cloud.Errorf(cloud.Invalid, "host %q has a wildcard: its kind must be %q", host, Wildcard)
		}
	case Wildcard:
		var ok bool
		if name, ok = strings.CutPrefix(h, "*."); !ok {
			return "", cloud.Errorf(cloud.Invalid, `host %q is no wildcard: write it as "*.example.org", or use kind %q`, host, Exact)
		}
	default:
		return "", cloud.Errorf(cloud.Invalid, "kind %q of a host is unknown: it is %q or %q", kind, Exact, Wildcard)
	}
	if len(h) > maxHost {
		return "", cloud.Errorf(cloud.Invalid, "host is longer than %d characters", maxHost)
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(label) {
			return "", cloud.Errorf(cloud.Invalid, "host %q is not a host name: write it like \"www.example.org\", without scheme, port or path", host)
		}
	}
	return h, nil
}

func isLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '_' && !('a' <= c && c <= 'z') && !('0' <= c && c <= '9') {
			return false
		}
	}
	return true
}
