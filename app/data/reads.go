package data

import (
	"slices"
	"strings"

	"picloud/app/cloud"
)

// Past these a unit of work remembers its reads less finely, which can only cost re-runs:
// all keys of a collection as one span, then all collections as one.
const (
	maxReadKeys  = 8192
	maxReadSpans = 128
)

// span is a half-open range of keys that was read, absences included.
type span struct {
	collection string
	prefix     string // what was asked for; executions that conflict here queue on it
	from, to   string // [from, to); to "" has no end
	all        bool   // every key of every collection
}

func (s span) has(n name) bool {
	return s.all || s.collection == n.collection && n.key >= s.from && (s.to == "" || n.key < s.to)
}

// after is the least key greater than k.
func after(k string) string { return k + "\x00" }

// prefixEnd is the least key greater than all that begin with prefix; "" when there is none.
// It may be no valid UTF-8: it is only compared with.
func prefixEnd(prefix string) string {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1])
		}
	}
	return ""
}

// reads is what a unit of work has seen of the database and not of its own writes.
type reads struct {
	keys  map[name]struct{}
	spans []span
	until cloud.Time // the earliest expiry among the entries seen; 0: none expires
}

func (r *reads) none() bool { return len(r.keys) == 0 && len(r.spans) == 0 }

func (r *reads) addKey(n name) {
	if r.keys == nil {
		r.keys = map[name]struct{}{}
	}
	r.keys[n] = struct{}{}
	if len(r.keys) > maxReadKeys {
		r.coarsen()
	}
}

func (r *reads) addSpan(s span) {
	if i := len(r.spans) - 1; i >= 0 && r.spans[i].touches(s) {
		r.spans[i].join(s) // the next page of a list
		return
	}
	r.spans = append(r.spans, s)
	if len(r.spans) > maxReadSpans {
		r.coarsen()
	}
}

// sawExpiry notes that an entry which is visible now won't be from t on.
func (r *reads) sawExpiry(t cloud.Time) {
	if t != 0 && (r.until == 0 || t < r.until) {
		r.until = t
	}
}

// covers reports whether n was read, by itself or within a span.
func (r *reads) covers(n name) bool {
	if _, ok := r.keys[n]; ok {
		return true
	}
	return slices.ContainsFunc(r.spans, func(s span) bool { return s.has(n) })
}

func (r *reads) coarsen() {
	whole := map[string]struct{}{}
	for n := range r.keys {
		whole[n.collection] = struct{}{}
	}
	for _, s := range r.spans {
		whole[s.collection] = struct{}{}
	}
	r.keys, r.spans = nil, r.spans[:0]
	if len(whole) > maxReadSpans/2 {
		r.spans = append(r.spans, span{all: true})
		return
	}
	for c := range whole {
		r.spans = append(r.spans, span{collection: c})
	}
	slices.SortFunc(r.spans, func(a, b span) int { return strings.Compare(a.collection, b.collection) })
}

func (s span) touches(t span) bool {
	return !s.all && !t.all && s.collection == t.collection && s.prefix == t.prefix &&
		(s.to == "" || t.from <= s.to) && (t.to == "" || s.from <= t.to)
}

func (s *span) join(t span) {
	s.from = min(s.from, t.from)
	if t.to == "" || s.to != "" && t.to > s.to {
		s.to = t.to
	}
}
