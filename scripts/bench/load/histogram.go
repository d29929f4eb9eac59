package load

import (
	"math"
	"math/bits"
	"time"
)

// Histogram counts durations in buckets whose width grows with them: each is at most 1/64 of
// its values, as in HdrHistogram, so percentiles are right to 1.6 %. The zero value is empty.
type Histogram struct {
	counts [rows * columns]uint64
	n      uint64
	sum    time.Duration
	most   time.Duration
}

const (
	shift   = 6
	columns = 1 << shift
	rows    = 36 // up to 2^41 ns, 36 minutes
)

// bucket is where v is counted. Row 0 holds 0 to 63 one by one; each later row covers what is
// twice as long as the one before.
func bucket(v uint64) int {
	row := max(bits.Len64(v)-shift, 0)
	if row == 0 {
		return int(v)
	}
	return min(row*columns+int(v>>(row-1)&(columns-1)), rows*columns-1)
}

// upper is the largest value that is counted in bucket i.
func upper(i int) uint64 {
	row, column := uint(i/columns), uint64(i%columns)
	if row == 0 {
		return column
	}
	return (columns+column+1)<<(row-1) - 1
}

// Record counts d; a negative one counts as 0.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.n++
	h.sum += d
	h.most = max(h.most, d)
}

// Add counts everything that o has counted.
func (h *Histogram) Add(o *Histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.sum += o.sum
	h.most = max(h.most, o.most)
}

// Count is how many were recorded.
func (h *Histogram) Count() int { return int(h.n) }

// Max is the longest recorded.
func (h *Histogram) Max() time.Duration { return h.most }

// Mean of what was recorded, 0 when nothing was.
func (h *Histogram) Mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return h.sum / time.Duration(h.n)
}

// Percentile is the shortest duration that the share p, from 0 to 1, of what was recorded
// doesn't exceed, to the precision of the buckets; 0 when nothing was.
func (h *Histogram) Percentile(p float64) time.Duration {
	rank := uint64(math.Ceil(p * float64(h.n)))
	var seen uint64
	for i, c := range h.counts {
		if seen += c; c > 0 && seen >= rank {
			return min(time.Duration(upper(i)), h.most)
		}
	}
	return 0
}
