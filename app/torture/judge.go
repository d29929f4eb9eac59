package torture

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"
)

// state is what an app holds at one moment, seen from outside.
type state struct {
	counts   map[string]map[string]float64 // by collection and key
	letters  []*letter                     // open dead letters
	received map[string]map[string]int     // what http.later brought: times, by id and idempotency key
	live     []string                      // ids that a subscriber from outside was sent
	disorder []string                      // of what it brought
}

// letter is a dead letter as the API shows it.
type letter struct {
	ID           string
	Source       string
	Payload      json.RawMessage
	AttemptCount int `json:"attempt_count"`
	Attempts     []json.RawMessage
	LastError    string `json:"last_error"`
}

var idPattern = regexp.MustCompile(`"(\d+-[a-z]+\d*-\d+)"`)

// id is the ledger's, which every payload has somewhere; "" when it has none.
func (l *letter) id() string {
	if m := idPattern.FindSubmatch(l.Payload); m != nil {
		return string(m[1])
	}
	return ""
}

// mortal are collections that count events which may use up their attempts.
var mortal = []string{"accepted", "done", "mourned", "tail"}

// values are collections that hold something else than counts.
var values = []string{"counted", "jobs"}

// check compares how often the effects of one request are there with how often they should be.
func (e *Entry) check(counts map[string]map[string]float64, collections []string) *Violation {
	present := 0
	for _, c := range collections {
		switch n := counts[c][e.ID]; {
		case n > 1 && !slices.Contains(values, c):
			return e.broken("effects happen once for each event", "%s counts it %v times", c, n)
		case n > 0:
			present++
		}
	}
	switch {
	case e.Outcome == Acknowledged && present < len(collections):
		return e.broken("what was acknowledged is there", "it is in %s, not in %s", having(counts, collections, e.ID, true), having(counts, collections, e.ID, false))
	case e.Outcome == Refused && present > 0:
		return e.broken("a request that failed leaves no trace", "it is in %s", having(counts, collections, e.ID, true))
	case present > 0 && present < len(collections):
		return e.broken("all or nothing", "it is in %s, not in %s", having(counts, collections, e.ID, true), having(counts, collections, e.ID, false))
	}
	for _, c := range e.Never {
		if _, there := counts[c][e.ID]; there {
			return e.broken("an execution that failed leaves no trace", "it is in %s", c)
		}
	}
	return nil
}

func (e *Entry) broken(promise, found string, args ...any) *Violation {
	return &Violation{Promise: promise, Entry: e, Found: fmt.Sprintf(found, args...)}
}

func having(counts map[string]map[string]float64, collections []string, id string, there bool) []string {
	return slices.DeleteFunc(slices.Clone(collections), func(c string) bool {
		_, has := counts[c][id]
		return has != there
	})
}

// judgeDead checks a drained app before its dead letters are replayed: an event has had its
// effect, or is one open letter, never both and never neither.
func judgeDead(entries []*Entry, s *state) *Violation {
	dead := map[string]int{}
	for _, l := range s.letters {
		id := l.id()
		if v := l.check(id); v != nil {
			return v
		}
		dead[id]++
	}
	for _, e := range entries {
		if v := e.checkDead(s, dead[e.ID]); v != nil {
			return v
		}
	}
	return nil
}

var deadly = regexp.MustCompile(`"collection":"(jobs|doomed)"`)

// check refuses letters of events that have attempts enough, and those without their history.
func (l *letter) check(id string) *Violation {
	may := l.Source == "http" || l.Source == "invoke" || l.Source == "kv" && deadly.Match(l.Payload)
	if !may || id == "" {
		return &Violation{Promise: "an event dies only when it has used up its attempts", Found: fmt.Sprintf("a dead letter: %s %s after %d attempts: %s; %s", l.Source, l.ID, l.AttemptCount, l.LastError, l.Payload)}
	}
	if len(l.Attempts) != l.AttemptCount || l.AttemptCount == 0 {
		return &Violation{Promise: "a dead letter has the history of all attempts", Found: fmt.Sprintf("letter %s has %d attempts and a history of %d", l.ID, l.AttemptCount, len(l.Attempts))}
	}
	return nil
}

func (e *Entry) checkDead(s *state, letters int) *Violation {
	for _, c := range e.Later {
		if !slices.Contains(mortal, c) {
			continue
		}
		n := int(s.counts[c][e.ID]) + letters
		switch {
		case n > 1:
			return e.broken("an event has its effect or is one dead letter", "%s counts it %v times, and it has %d open letters", c, s.counts[c][e.ID], letters)
		case n == 0 && e.Outcome == Acknowledged:
			return e.broken("nothing acknowledged is lost", "it is neither in %s nor a dead letter", c)
		}
	}
	return nil
}

// judge checks a drained app that has no open letters.
func judge(entries []*Entry, s *state) *Violation {
	known := map[string]map[string]bool{}
	for _, e := range entries {
		for _, c := range slices.Concat(e.Now, e.Later) {
			if known[c] == nil {
				known[c] = map[string]bool{}
			}
			known[c][e.ID] = true
		}
		if v := e.check(s.counts, slices.Concat(e.Now, e.Later)); v != nil {
			return v
		}
	}
	for c, ids := range known {
		for id := range s.counts[c] {
			if !ids[id] {
				return &Violation{Promise: "nothing happens that nobody asked for", Found: fmt.Sprintf("%s holds %s, which is not in the ledger", c, id)}
			}
		}
	}
	for _, check := range []func([]*Entry, *state) *Violation{judgeTraces, judgeSum, judgeCounter, judgeTicks, judgeSent, judgeLive} {
		if v := check(entries, s); v != nil {
			return v
		}
	}
	return nil
}

// judgeTraces looks for what failed executions wrote, and for messages out of order.
func judgeTraces(_ []*Entry, s *state) *Violation {
	for c, promise := range map[string]string{"leak": "an attempt that failed leaves no trace", "half": "an execution that failed leaves no trace", "disorder": "messages with one key come in the order in which they were sent"} {
		if len(s.counts[c]) > 0 {
			return &Violation{Promise: promise, Found: fmt.Sprintf("%s holds %v", c, s.counts[c])}
		}
	}
	return nil
}

// judgeSum compares what add counted with the executions that added.
func judgeSum(_ []*Entry, s *state) *Violation {
	if got, want := s.counts["sum"]["a"], float64(len(s.counts["a"])); got != want {
		return &Violation{Promise: "add counts each execution once", Found: fmt.Sprintf("the sum is %v after %v executions", got, want)}
	}
	return nil
}

// judgeCounter checks that n = get(); set(n+1) lost no update: each execution had a number of its own.
func judgeCounter(entries []*Entry, s *state) *Violation {
	who := map[float64]string{}
	for id, n := range s.counts["counted"] {
		if other, taken := who[n]; taken {
			return &Violation{Promise: "no update is lost", Found: fmt.Sprintf("%s and %s both counted to %v", id, other, n)}
		}
		who[n] = id
	}
	if got := s.counts["count"]["n"]; got != float64(len(who)) {
		return &Violation{Promise: "no update is lost", Found: fmt.Sprintf("the counter is %v after %d executions", got, len(who))}
	}
	for _, e := range entries {
		if e.Said != "" && fmt.Sprint(s.counts["counted"][e.ID]) != e.Said {
			return e.broken("no update is lost", "it is stored as %v", s.counts["counted"][e.ID])
		}
	}
	return nil
}

// judgeTicks checks that a schedule for every second missed none and ran none twice.
func judgeTicks(_ []*Entry, s *state) *Violation {
	var last time.Time
	for _, at := range slices.Sorted(maps.Keys(s.counts["ticks"])) {
		tick, err := time.Parse(time.RFC3339, at)
		if n := s.counts["ticks"][at]; err != nil || n != 1 {
			return &Violation{Promise: "a crash neither loses nor doubles a tick", Found: fmt.Sprintf("tick %s ran %v times", at, n)}
		}
		if !last.IsZero() && tick.Sub(last) != time.Second {
			return &Violation{Promise: "a crash neither loses nor doubles a tick", Found: fmt.Sprintf("after tick %v came %v", last, tick)}
		}
		last = tick
	}
	return nil
}

// judgeSent compares what executions stored for another machine with what that received: each at
// least once, under one idempotency key, and nothing of executions that left no trace.
func judgeSent(_ []*Entry, s *state) *Violation {
	const promise = "a request that was stored is sent, under one idempotency key, and no other"
	for id := range s.counts["sent"] {
		if len(s.received[id]) != 1 {
			return &Violation{Promise: promise, Found: fmt.Sprintf("%s arrived under the keys %v", id, s.received[id])}
		}
	}
	for id := range s.received {
		if _, there := s.counts["sent"][id]; !there {
			return &Violation{Promise: promise, Found: fmt.Sprintf("%s arrived, but its execution left nothing", id)}
		}
	}
	if len(s.disorder) > 0 {
		return &Violation{Promise: "requests for one host arrive in order", Found: fmt.Sprint(s.disorder)}
	}
	return nil
}

// judgeLive checks that subscribers were only sent what was committed.
func judgeLive(_ []*Entry, s *state) *Violation {
	for _, id := range s.live {
		if _, there := s.counts["heard"][id]; !there {
			return &Violation{Promise: "only what was committed is sent to subscribers", Found: id + " was sent, but is nowhere"}
		}
	}
	return nil
}
