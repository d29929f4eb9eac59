package data

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"picloud/app/cloud"
)

// change is what a unit of work does to one key in the end.
type change struct {
	name
	kind  changeKind
	value json.RawMessage // of put
	plus  float64         // of add
	ttl   time.Duration   // of put; 0: for ever, keepTTL: as it was
}

type changeKind uint8

const (
	put    changeKind = iota
	add               // to whatever is there at commit
	remove            // whatever is there at commit
)

const keepTTL = -1

// bytes is what the change counts in the budget of a commit.
func (c *change) bytes() int { return c.name.bytes() + len(c.value) }

// apply is the change's outcome on a value, nil being none.
func (c *change) apply(before json.RawMessage) (json.RawMessage, error) {
	switch c.kind {
	case put:
		return c.value, nil
	case remove:
		return nil, nil
	}
	return sum(c.name, before, c.plus)
}

// overlay holds the changes a unit of work has made since its last commit, by key.
type overlay map[name]*change

// between lists the changes of keys within s in the order of keys.
func (o overlay) between(s span) []*change {
	var cs []*change
	for n, c := range o {
		if s.has(n) {
			cs = append(cs, c)
		}
	}
	slices.SortFunc(cs, func(a, b *change) int { return strings.Compare(a.key, b.key) })
	return cs
}

// after is the change that c would make if it came after prev on the same key, where prev
// may be nil.
func (c change) after(prev *change) (change, error) {
	if prev == nil || c.kind != add {
		return c, nil
	}
	switch prev.kind {
	case add:
		c.plus += prev.plus
		return c, checkNumber(c.name, c.plus)
	case remove:
		v, err := sum(c.name, nil, c.plus)
		return change{name: c.name, kind: put, value: v}, err
	}
	v, err := sum(c.name, prev.value, c.plus)
	return change{name: c.name, kind: put, value: v, ttl: prev.ttl}, err
}

// sum adds by to a JSON number; no value counts as 0.
func sum(n name, v json.RawMessage, by float64) (json.RawMessage, error) {
	var f float64
	if v != nil {
		var err error
		if f, err = strconv.ParseFloat(strings.TrimSpace(string(v)), 64); err != nil || !startsNumber(v) {
			return nil, cloud.Errorf(cloud.Invalid, "the value of %q in %q is not a number: increment and add need one", n.key, n.collection)
		}
	}
	f += by
	if err := checkNumber(n, f); err != nil {
		return nil, err
	}
	return json.Marshal(f)
}

// startsNumber tells JSON numbers from the further spellings that strconv knows.
func startsNumber(v json.RawMessage) bool {
	for _, c := range v {
		switch {
		case c == ' ', c == '\t', c == '\n', c == '\r':
		default:
			return c == '-' || '0' <= c && c <= '9'
		}
	}
	return false
}

func checkNumber(n name, f float64) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return cloud.Errorf(cloud.Invalid, "the sum for %q in %q is not a finite number", n.key, n.collection)
	}
	return nil
}
