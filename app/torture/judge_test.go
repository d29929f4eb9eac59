package torture

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// sound is a ledger and what an instance that keeps its promises holds.
func sound() (entries []*Entry, s *state) {
	entries = []*Entry{
		{ID: "1-c0-1", Op: "write", Outcome: Acknowledged, Now: []string{"a", "b"}, Later: []string{"chain1"}},
		{ID: "1-c0-2", Op: "write", Outcome: Refused, Now: []string{"a", "b"}, Later: []string{"chain1"}},
		{ID: "1-c0-3", Op: "write", Outcome: Unknown, Now: []string{"a", "b"}, Later: []string{"chain1"}},
		{ID: "1-c0-4", Op: "write", Outcome: Unknown, Now: []string{"a", "b"}, Later: []string{"chain1"}},
		{ID: "1-c0-5", Op: "half", Outcome: Refused, Never: []string{"half", "chain1"}},
		{ID: "1-c0-6", Op: "accept", Outcome: Acknowledged, Later: []string{"accepted"}},
		{ID: "1-c0-7", Op: "count", Outcome: Acknowledged, Said: "1", Now: []string{"counted"}},
		{ID: "1-c0-8", Op: "count", Outcome: Unknown, Now: []string{"counted"}},
		{ID: "1-c0-9", Op: "send", Outcome: Acknowledged, Now: []string{"sent"}},
		{ID: "1-c0-10", Op: "publish", Outcome: Acknowledged, Later: []string{"heard", "heard2"}},
	}
	s = &state{counts: map[string]map[string]float64{
		"a": {"1-c0-1": 1, "1-c0-3": 1}, "b": {"1-c0-1": 1, "1-c0-3": 1}, "chain1": {"1-c0-1": 1, "1-c0-3": 1}, "sum": {"a": 2},
		"accepted": {"1-c0-6": 1}, "count": {"n": 2}, "counted": {"1-c0-7": 1, "1-c0-8": 2}, "sent": {"1-c0-9": 1},
		"heard": {"1-c0-10": 1}, "heard2": {"1-c0-10": 1},
		"ticks": {"2026-11-26T02:00:01.000Z": 1, "2026-11-26T02:00:02.000Z": 1, "2026-11-26T02:00:03.000Z": 1},
		"leak":  {}, "half": {}, "disorder": {},
	}, received: map[string]map[string]int{"1-c0-9": {"key": 2}}, live: []string{"1-c0-10"}}
	return entries, s
}

// Each violation is planted alone in what is sound; the judge must name it.
func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func([]*Entry, *state)
		want  string // part of the promise and what was found; "": nothing is found
	}{
		{"sound", func([]*Entry, *state) {}, ""},
		{"a key is lost", func(_ []*Entry, s *state) {
			for _, c := range []string{"a", "b", "chain1"} {
				delete(s.counts[c], "1-c0-1")
			}
		}, "acknowledged is there"},
		{"half an execution that was acknowledged", func(_ []*Entry, s *state) { delete(s.counts["b"], "1-c0-1") }, "not in [b]"},
		{"half an execution that was cut", func(_ []*Entry, s *state) { delete(s.counts["b"], "1-c0-3") }, "all or nothing"},
		{"an event of an execution that was cut", func(_ []*Entry, s *state) { s.counts["chain1"]["1-c0-4"] = 1 }, "all or nothing"},
		{"an event is lost", func(_ []*Entry, s *state) { delete(s.counts["chain1"], "1-c0-1") }, "acknowledged is there"},
		{"one of two subscribers missed a message", func(_ []*Entry, s *state) { delete(s.counts["heard2"], "1-c0-10") }, "not in [heard2]"},
		{"an effect happened twice", func(_ []*Entry, s *state) { s.counts["chain1"]["1-c0-1"] = 2 }, "once for each event"},
		{"a refused request left something", func(_ []*Entry, s *state) { s.counts["a"]["1-c0-2"] = 1 }, "that failed leaves no trace"},
		{"an execution that threw left something", func(_ []*Entry, s *state) { s.counts["chain1"]["1-c0-5"] = 1 }, "that failed leaves no trace"},
		{"a failed attempt left something", func(_ []*Entry, s *state) { s.counts["leak"]["x"] = 1 }, "an attempt that failed"},
		{"nobody asked for it", func(_ []*Entry, s *state) { s.counts["a"]["1-c9-1"] = 1 }, "nobody asked for"},
		{"an accepted event is gone", func(_ []*Entry, s *state) { delete(s.counts["accepted"], "1-c0-6") }, "acknowledged is there"},
		{"the sum is short", func(_ []*Entry, s *state) { s.counts["sum"]["a"] = 1 }, "add counts"},
		{"two executions counted to one number", func(_ []*Entry, s *state) { s.counts["counted"]["1-c0-8"] = 1 }, "no update is lost"},
		{"the counter went back", func(_ []*Entry, s *state) { s.counts["count"]["n"] = 1 }, "no update is lost"},
		{"the counter answered something else", func(_ []*Entry, s *state) {
			s.counts["counted"]["1-c0-7"], s.counts["counted"]["1-c0-8"] = 2, 1
		}, "stored as 2"},
		{"a tick ran twice", func(_ []*Entry, s *state) { s.counts["ticks"]["2026-11-26T02:00:02.000Z"] = 2 }, "neither loses nor doubles"},
		{"a tick is missing", func(_ []*Entry, s *state) { delete(s.counts["ticks"], "2026-11-26T02:00:02.000Z") }, "neither loses nor doubles"},
		{"messages out of order", func(_ []*Entry, s *state) { s.counts["disorder"]["x"] = 1 }, "in the order"},
		{"a stored request was not sent", func(_ []*Entry, s *state) { delete(s.received, "1-c0-9") }, "under one idempotency key"},
		{"it was sent under two keys", func(_ []*Entry, s *state) { s.received["1-c0-9"]["other"] = 1 }, "under one idempotency key"},
		{"it was sent, but nothing was committed", func(_ []*Entry, s *state) { s.received["1-c0-11"] = map[string]int{"k": 1} }, "left nothing"},
		{"requests out of order", func(_ []*Entry, s *state) { s.disorder = []string{"x"} }, "arrive in order"},
		{"a subscriber heard what was not committed", func(_ []*Entry, s *state) { s.live = []string{"1-c0-4"} }, "only what was committed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			entries, s := sound()
			c.plant(entries, s)
			check(t, judge(entries, s), c.want)
		})
	}
}

func check(t *testing.T, v *Violation, want string) {
	t.Helper()
	if want == "" {
		if v != nil {
			t.Errorf("found %v, want nothing", v)
		}
		return
	}
	if v == nil || !strings.Contains(v.Error(), want) {
		t.Errorf("found %v, want something with %q", v, want)
	}
}

// Before dead letters are replayed, an event has had its effect or is one open letter.
func TestJudgeDead(t *testing.T) {
	dead := func(id string) *letter {
		return &letter{ID: "l", Source: "http", Payload: json.RawMessage(fmt.Sprintf(`{"http":{"body":{"id":%q}}}`, id)), AttemptCount: 1, Attempts: []json.RawMessage{nil}}
	}
	for _, c := range []struct {
		name    string
		applied bool
		letters []*letter
		want    string
	}{
		{"applied", true, nil, ""},
		{"dead", false, []*letter{dead("1-c0-6")}, ""},
		{"both", true, []*letter{dead("1-c0-6")}, "its effect or is one dead letter"},
		{"neither", false, nil, "nothing acknowledged is lost"},
		{"two letters", false, []*letter{dead("1-c0-6"), dead("1-c0-6")}, "its effect or is one dead letter"},
		{"a letter of an event that has attempts enough", true, []*letter{{Source: "queue", Payload: json.RawMessage(`{"id":"1-c0-6"}`)}}, "used up its attempts"},
		{"a letter without its history", false, []*letter{{Source: "http", Payload: json.RawMessage(`{"id":"1-c0-6"}`), AttemptCount: 2, Attempts: []json.RawMessage{nil}}}, "history of all attempts"},
	} {
		t.Run(c.name, func(t *testing.T) {
			entries, s := sound()
			if s.letters = c.letters; !c.applied {
				delete(s.counts["accepted"], "1-c0-6")
			}
			check(t, judgeDead(entries, s), c.want)
		})
	}
}

// What was unknown is settled by what a start shows, and must stay so.
func TestSettledStaysSettled(t *testing.T) {
	e := &Entry{ID: "1-c0-3", Outcome: Unknown, Now: []string{"a"}}
	var r Report
	r.settle(e, map[string]map[string]float64{"a": {}})
	check(t, e.check(map[string]map[string]float64{"a": {"1-c0-3": 1}}, e.Now), "leaves no trace")
	e = &Entry{ID: "1-c0-3", Outcome: Unknown, Now: []string{"a"}}
	r.settle(e, map[string]map[string]float64{"a": {"1-c0-3": 1}})
	check(t, e.check(map[string]map[string]float64{"a": {}}, e.Now), "acknowledged is there")
	if r.Whole != 1 || r.Nothing != 1 {
		t.Errorf("found done %d and not done %d, want 1 and 1", r.Whole, r.Nothing)
	}
}

func TestRegister(t *testing.T) {
	g := register{name: "x", possible: []string{""}}
	g.wrote("1", Acknowledged)
	g.wrote("2", Refused)
	check(t, g.saw("1"), "")
	g.wrote("3", Unknown)
	check(t, g.saw("2"), `"2"`)
	check(t, g.saw("3"), "")
	check(t, g.saw("1"), `only be one of ["3"]`)
	g.wrote("", Acknowledged)
	check(t, g.saw("3"), "stays until it is written again")
}
