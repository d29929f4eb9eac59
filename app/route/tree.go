package route

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
)

// tree finds the entries of one host pattern by path. Each lookup is a few map accesses,
// whatever the number of routes: one for exact paths, one for each different arrangement
// of literals and parameters among the patterns with as many segments as the path has, and
// one for each segment of the path for prefixes.
type tree struct {
	exact  map[string]*leaf
	params map[int][]*shape // by number of segments; best first
	prefix map[string]*leaf
}

// shape holds the param patterns whose literals stand at the same places.
type shape struct {
	literals uint64 // the first segment is the highest bit
	leaves   map[string]*leaf
}

// leaf is one pattern, in its two spellings.
type leaf struct {
	segments int // of the pattern; tells /a%2Fb from /a/b
	plain    methods
	slashed  methods // written with a trailing slash
}

// methods are the routes of one pattern by method ("" is any); best first.
type methods map[string][]*entry

// find returns the first match in the order of the package's comment, or nil; then q knows
// which methods would have matched.
func (t *tree) find(q *query) *entry {
	if e := t.exact[q.path].at(q, q.segments); e != nil {
		return e
	}
	for _, s := range t.params[q.segments] {
		if e := s.find(q); e != nil {
			return e
		}
	}
	if len(t.prefix) == 0 {
		return nil
	}
	for n := min(q.segments, maxSegments); n >= 0; n-- {
		if e := t.prefix[q.head(n)].at(q, n); e != nil {
			return e
		}
	}
	return nil
}

func (s *shape) find(q *query) *entry {
	var buf [128]byte
	key := buf[:0]
	for i := range q.segments {
		key = append(key, '/')
		seg := q.segment(i)
		switch {
		case seg == "":
			return nil
		case s.literals&(1<<(63-i)) != 0:
			key = append(key, seg...)
		default:
			key = append(key, ':')
		}
	}
	return s.leaves[string(key)].at(q, q.segments)
}

// at picks from a leaf that the first n segments of the path have led to.
func (l *leaf) at(q *query, n int) *entry {
	if l == nil || l.segments != n {
		return nil
	}
	if q.segments > n || q.slash {
		if e := l.slashed.pick(q); e != nil {
			return e
		}
	}
	return l.plain.pick(q)
}

func (m methods) pick(q *query) *entry {
	if m == nil {
		return nil
	}
	if es := m[q.method]; len(es) > 0 {
		return es[0]
	}
	if q.method == "HEAD" {
		if es := m["GET"]; len(es) > 0 {
			return es[0]
		}
	}
	if es := m[""]; len(es) > 0 {
		return es[0]
	}
	for method := range m {
		q.allow = append(q.allow, method)
	}
	return nil
}

func (t *tree) own(cow bool) *tree {
	if t == nil {
		return new(tree)
	}
	if !cow {
		return t
	}
	c := *t
	return &c
}

func (t *tree) empty() bool { return len(t.exact)+len(t.params)+len(t.prefix) == 0 }

func (t *tree) add(e *entry, cow bool) {
	t.change(e, cow, func(m methods) {
		at := e.route.Method
		i, found := slices.BinarySearchFunc(m[at], e, (*entry).before)
		if found {
			return
		}
		list := m[at]
		if cow {
			list = slices.Clone(list)
		}
		m[at] = slices.Insert(list, i, e)
	})
}

func (t *tree) remove(e *entry) {
	t.change(e, true, func(m methods) {
		at := e.route.Method
		i, found := slices.BinarySearchFunc(m[at], e, (*entry).before)
		switch {
		case !found:
		case len(m[at]) == 1:
			delete(m, at)
		default:
			m[at] = slices.Delete(slices.Clone(m[at]), i, i+1)
		}
	})
}

func (t *tree) change(e *entry, cow bool, f func(methods)) {
	switch e.kind {
	case Exact:
		t.exact = owned(t.exact, cow)
		changeLeaf(t.exact, e, cow, f)
	case Prefix:
		t.prefix = owned(t.prefix, cow)
		changeLeaf(t.prefix, e, cow, f)
	default:
		t.params = owned(t.params, cow)
		t.changeShape(e, cow, f)
	}
}

func (t *tree) changeShape(e *entry, cow bool, f func(methods)) {
	shapes := t.params[e.segments]
	if cow {
		shapes = slices.Clone(shapes)
	}
	i, found := slices.BinarySearchFunc(shapes, e.literals, compareShape)
	s := &shape{literals: e.literals}
	if found {
		s.leaves = shapes[i].leaves
		shapes[i] = s
	} else {
		shapes = slices.Insert(shapes, i, s)
	}
	s.leaves = owned(s.leaves, cow)
	changeLeaf(s.leaves, e, cow, f)
	if len(s.leaves) == 0 {
		shapes = slices.Delete(shapes, i, i+1)
	}
	t.params[e.segments] = shapes
	if len(shapes) == 0 {
		delete(t.params, e.segments)
	}
}

// compareShape puts more literals first, then those further left.
func compareShape(s *shape, literals uint64) int {
	if c := cmp.Compare(bits.OnesCount64(literals), bits.OnesCount64(s.literals)); c != 0 {
		return c
	}
	return cmp.Compare(literals, s.literals)
}

func changeLeaf(m map[string]*leaf, e *entry, cow bool, f func(methods)) {
	l := &leaf{segments: e.segments}
	if old := m[e.key]; old != nil {
		*l = *old
	}
	side := &l.plain
	if e.slash {
		side = &l.slashed
	}
	*side = owned(*side, cow)
	f(*side)
	if len(l.plain)+len(l.slashed) == 0 {
		delete(m, e.key)
		return
	}
	m[e.key] = l
}

// allowed is the list for a 405.
func (q *query) allowed() []string {
	if len(q.allow) == 0 {
		return nil
	}
	if slices.Contains(q.allow, "GET") {
		q.allow = append(q.allow, "HEAD")
	}
	slices.SortFunc(q.allow, strings.Compare)
	return slices.Compact(q.allow)
}
