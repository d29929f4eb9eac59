package cloud

import (
	"sync"
	"time"
)

// jumpAhead is by how much a wall clock must have gone further than time did to have jumped.
const jumpAhead = time.Hour

// Steady finds out whether a wall clock has jumped ahead. What is old only by a clock that
// has just jumped is not deleted for good yet: the clock may be wrong, and set back. The zero
// value works.
type Steady struct {
	mu     sync.Mutex // guards what follows
	showed time.Time  // by the clock at the last look
	looked time.Time  // when that was, with its monotonic reading
	since  time.Time  // the last jump, or the first look
	jumped bool
}

// For is how long the clock, which shows now, has gone on without a jump ahead, as far as is
// known. jumped: it did jump, since the first call.
func (s *Steady) For(now time.Time) (d time.Duration, jumped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shows, at := now.Round(0), time.Now()
	switch {
	case s.looked.IsZero():
		s.since = at
	case shows.Sub(s.showed)-at.Sub(s.looked) > jumpAhead:
		s.since, s.jumped = at, true
	}
	s.showed, s.looked = shows, at
	return at.Sub(s.since), s.jumped
}
