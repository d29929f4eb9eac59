package torture

import (
	"slices"
	"testing"
)

// What only shows that a value is there says nothing about which. Once a secret's unknown write
// was taken for done because the list of secrets had its name: when its value could be read, and
// was the one before, that was called a broken promise.
func TestRegisterSeesOnlyWhatShows(t *testing.T) {
	for _, c := range []struct {
		name, read string
		possible   []string
		left       []string // nil: a violation
	}{
		{"the value", "a", []string{"a"}, []string{"a"}},
		{"another value", "b", []string{"a"}, nil},
		{"an unknown write that was done", "b", []string{"a", "b"}, []string{"b"}},
		{"an unknown write that wasn't", "a", []string{"a", "b"}, []string{"a"}},
		{"one of two values", some, []string{"a", "b"}, []string{"a", "b"}},
		{"an unknown deletion that wasn't done", some, []string{"a", ""}, []string{"a"}},
		{"a deletion that was undone", some, []string{""}, nil},
		{"a value that is gone", "", []string{"a"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &register{name: "it", possible: c.possible}
			v := g.saw(c.read)
			if (v != nil) != (c.left == nil) || v == nil && !slices.Equal(g.possible, c.left) {
				t.Errorf("read %q: %v, left %q, want %q", c.read, v, g.possible, c.left)
			}
		})
	}
}
