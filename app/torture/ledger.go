package torture

import (
	"fmt"
	"sync"
	"time"
)

// Outcome is what a client knows about a request.
type Outcome int

// Outcomes of a request.
const (
	Refused      Outcome = iota // answered with an error, or never sent: it must have left no trace
	Unknown                     // cut: all of it was done, or nothing
	Acknowledged                // answered 2xx: it must be there
)

func (o Outcome) String() string { return [...]string{"refused", "unknown", "acknowledged"}[o] }

// Entry is one request in the ledger, and what must come of it.
type Entry struct {
	ID      string
	Op      string
	Outcome Outcome
	Answer  string // what came back, or why nothing did
	Said    string // the number that a counter answered
	Start   int64  // of the instance, when the outcome was known
	At      time.Time

	Now   []string // collections in which ID counts 1 from the answer on
	Later []string // collections in which it counts 1 once everything has run
	Never []string // collections in which it must not be, whatever the outcome
}

func (e *Entry) String() string {
	return fmt.Sprintf("%s %s at %s, start %d: %s (%s); leads to %v, then %v", e.Op, e.ID, e.At.UTC().Format("15:04:05.000"), e.Start, e.Outcome, e.Answer, e.Now, e.Later)
}

// ledger is what clients asked for in one round.
type ledger struct {
	mu      sync.Mutex
	entries []*Entry
	checked int // entries before this one were looked at after a start
}

func (l *ledger) add(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
}

// fresh are the entries that were not looked at yet and whose process is gone: what is unknown
// about them can be settled now.
func (l *ledger) fresh(start int64) []*Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []*Entry
	for ; l.checked < len(l.entries) && l.entries[l.checked].Start < start; l.checked++ {
		list = append(list, l.entries[l.checked])
	}
	return list
}

func (l *ledger) all() []*Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries
}

// Violation is a promise that was broken.
type Violation struct {
	Promise string
	Entry   *Entry // nil when it isn't about one request
	Found   string
}

func (v *Violation) Error() string {
	s := "broken: " + v.Promise + "\nfound: " + v.Found
	if v.Entry != nil {
		s += "\nledger: " + v.Entry.String()
	}
	return s
}
