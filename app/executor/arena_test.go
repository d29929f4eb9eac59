package executor

import (
	"math/rand/v2"
	"testing"
)

// TestArena allocates, resizes and frees at random and checks that no two blocks overlap,
// that contents survive, and that everything coalesces back to nothing.
func TestArena(t *testing.T) {
	t.Parallel()
	base, err := reserve(64 << 20)
	if err != nil {
		t.Fatal(err)
	}
	a := &arena{base: base, top: base, size: 64 << 20}
	t.Cleanup(func() { unreserve(a.base, a.size) })
	type held struct {
		p, n uintptr
		mark byte
	}
	r := rand.New(rand.NewPCG(1, 2))
	size := func() uintptr { return uintptr(1 + r.Uint64N(1<<r.Uint64N(17))) }
	var live []held
	fill := func(h held) {
		for i, m := 0, memory(h.p, h.n); i < len(m); i++ {
			m[i] = h.mark
		}
	}
	check := func(h held, n uintptr) {
		for i, b := range memory(h.p, n) {
			if b != h.mark {
				t.Fatalf("block of %d bytes: byte %d is %d, want %d", h.n, i, b, h.mark)
			}
		}
	}
	for i := range 30_000 {
		switch k := r.IntN(10); {
		case k < 4 && len(live) < 300:
			h := held{n: size(), mark: byte(i)}
			if h.p = a.malloc(h.n); h.p == 0 {
				t.Fatalf("out of memory after %d steps with %d blocks", i, len(live))
			}
			if got := blockSize(h.p); got < h.n {
				t.Fatalf("got %d bytes, want %d", got, h.n)
			}
			fill(h)
			live = append(live, h)
		case k < 6 && len(live) > 0:
			j := r.IntN(len(live))
			h := live[j]
			n := size()
			p := a.realloc(h.p, n)
			if p == 0 {
				t.Fatalf("out of memory after %d steps", i)
			}
			old := h.n
			h.p, h.n = p, n
			check(h, min(n, old))
			fill(h)
			live[j] = h
		case len(live) > 0:
			j := r.IntN(len(live))
			check(live[j], live[j].n)
			a.dealloc(live[j].p)
			live[j] = live[len(live)-1]
			live = live[:len(live)-1]
		}
	}
	for _, h := range live {
		check(h, h.n)
		a.dealloc(h.p)
	}
	if a.top != a.base || a.last != 0 || a.rows != 0 {
		t.Errorf("after freeing all: top +%d, last %d, rows %b, want all zero", a.top-a.base, a.last, a.rows)
	}
}
