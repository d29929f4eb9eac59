package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	last := -1
	for v := uint64(0); v < 1<<20; v++ {
		i := bucket(v)
		if i != last && i != last+1 {
			t.Fatalf("%d is in bucket %d, after %d", v, i, last)
		}
		last = i
		if u := upper(i); u < v || float64(u-v) > float64(v)/columns {
			t.Fatalf("%d is told as %d", v, u)
		}
	}
	if i := bucket(math.MaxUint64 >> 1); i != rows*columns-1 {
		t.Errorf("the longest is in bucket %d", i)
	}
}

func TestPercentiles(t *testing.T) {
	var h, half Histogram
	var all []time.Duration
	for i := range 10_000 {
		d := time.Duration(rand.ExpFloat64() * float64(time.Millisecond))
		all = append(all, d)
		if i%2 == 0 {
			h.Record(d)
		} else {
			half.Record(d)
		}
	}
	h.Add(&half)
	slices.Sort(all)
	for _, p := range []float64{.01, .5, .9, .99, .999, 1} {
		want := all[int(math.Ceil(p*float64(len(all))))-1]
		if got := h.Percentile(p); got < want || float64(got-want) > float64(want)/columns {
			t.Errorf("percentile %v: got %v, want %v", p, got, want)
		}
	}
	if h.Count() != len(all) || h.Max() != all[len(all)-1] {
		t.Errorf("got %d, at most %v", h.Count(), h.Max())
	}
}

func TestEmptyHistogram(t *testing.T) {
	var h Histogram
	if h.Percentile(.99) != 0 || h.Mean() != 0 {
		t.Error("nothing took some time")
	}
	h.Record(-time.Second)
	if h.Percentile(1) != 0 || h.Count() != 1 {
		t.Error("a negative duration isn't 0")
	}
}
