package torture

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Report is what a Run did.
type Report struct {
	Durability string
	Seed       uint64
	Kills      int
	Kinds      map[string]int // kills, by the moment
	Stops      int            // that were to be killed, but had ended in order before
	Rounds     int            // apps that were drained and checked
	Requests   [3]int         // by Outcome, once what was unknown is settled
	Whole      int            // requests that were cut, and found done
	Nothing    int            // requests that were cut, and found not done
	Events     int            // effects that were counted
	Letters    int            // dead letters that were replayed
	Deployed   int            // deployments and rollbacks that were acknowledged
	Managed    int            // writes of apps, scripts, routes, triggers, keys, … that were acknowledged
	Copies     int            // of the database that arrived whole, and were sound
	Starts     int            // that were waited for
	SlowStart  time.Duration  // the slowest of them
	Took       time.Duration

	mu    sync.Mutex // guards what clients count
	began time.Time
	usual time.Duration // what a start takes, about
}

func (r *Report) killed(moment string, n int) {
	r.Kills += n
	r.Kinds[moment] += n
}

func (r *Report) started(took time.Duration) {
	r.Starts++
	r.SlowStart = max(r.SlowStart, took)
	if r.usual == 0 {
		r.usual = took
	}
	r.usual = (7*r.usual + took) / 8
}

// usualStart is about how long a start takes.
func (r *Report) usualStart() time.Duration { return r.usual }

// settle notes what became of a request that was cut.
func (r *Report) settle(e *Entry, counts map[string]map[string]float64) {
	if e.Outcome != Unknown || len(e.Now) == 0 {
		return
	}
	if _, there := counts[e.Now[0]][e.ID]; there {
		e.Outcome = Acknowledged
		r.Whole++
	} else {
		e.Outcome = Refused
		r.Nothing++
	}
}

func (r *Report) judged(rd *round, s *state) {
	for _, e := range rd.book.all() {
		r.Requests[e.Outcome]++
		for _, c := range slices.Concat(e.Now, e.Later) {
			if s.counts[c][e.ID] > 0 {
				r.Events++
			}
		}
	}
	r.Events += len(s.counts["ticks"])
}

func (r *Report) deployed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Deployed++
}

func (r *Report) copied() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Copies++
}

func (r *Report) managed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Managed++
}

// line tells how far it is.
func (r *Report) line(of int) string {
	took := time.Since(r.began)
	return fmt.Sprintf("%s: %d of %d kills, %d requests acknowledged, %d effects, %.1f s per kill", r.Durability, r.Kills, of, r.Requests[Acknowledged], r.Events, took.Seconds()/float64(max(r.Kills, 1)))
}

// Write writes the report for people.
func (r *Report) Write(w io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "durability %s, seed %d: %d kills in %v, %d starts (the slowest took %v), %d rounds\n", r.Durability, r.Seed, r.Kills, r.Took.Round(time.Second), r.Starts, r.SlowStart.Round(time.Millisecond), r.Rounds)
	for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
		fmt.Fprintf(&b, "  killed %s: %d\n", kind, r.Kinds[kind])
	}
	fmt.Fprintf(&b, "  stopped in order before the kill: %d\n", r.Stops)
	fmt.Fprintf(&b, "  requests: %d acknowledged, %d refused, %d of unknown outcome; of those that were cut, %d were found done and %d not\n", r.Requests[Acknowledged], r.Requests[Refused], r.Requests[Unknown], r.Whole, r.Nothing)
	fmt.Fprintf(&b, "  effects counted: %d; dead letters replayed: %d; deployments: %d; writes to apps, scripts, routes, triggers, keys and secrets: %d; copies of the database: %d\n", r.Events, r.Letters, r.Deployed, r.Managed, r.Copies)
	_, err := io.WriteString(w, b.String())
	return err
}
