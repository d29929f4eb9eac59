package data

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
)

// op is one call of an execution, and got what it answered.
type op struct {
	verb, collection, key string
	n                     int
	list                  ListOptions
	got                   string
}

func randomOp(rnd *rand.Rand) op {
	o := op{
		verb:       []string{"get", "get", "has", "set", "delete", "increment", "add", "getMany", "list", "entries"}[rnd.IntN(10)],
		collection: []string{"c", "d"}[rnd.IntN(2)],
		key:        []string{"a", "b", "p/a", "p/b", "p/c", "q"}[rnd.IntN(6)],
		n:          rnd.IntN(100),
	}
	if o.verb == "list" || o.verb == "entries" {
		o.list = ListOptions{Prefix: []string{"", "p/"}[rnd.IntN(2)], Limit: rnd.IntN(4), Reverse: rnd.IntN(2) == 0}
		if rnd.IntN(3) == 0 {
			o.list.Cursor = encodeCursor(o.list.direction(), "p/b")
		}
	}
	return o
}

// do calls u.
func (o *op) do(ctx context.Context, u *Unit) (err error) {
	o.got = ""
	switch o.verb {
	case "get":
		var v json.RawMessage
		v, _, err = u.Get(ctx, o.collection, o.key)
		o.got = string(v)
	case "has":
		var has bool
		has, err = u.Has(ctx, o.collection, o.key)
		o.got = fmt.Sprint(has)
	case "set":
		err = u.Set(ctx, o.collection, o.key, json.RawMessage(fmt.Sprint(o.n)), 0)
	case "delete":
		var was bool
		was, err = u.Delete(ctx, o.collection, o.key)
		o.got = fmt.Sprint(was)
	case "increment":
		var sum float64
		sum, err = u.Increment(ctx, o.collection, o.key, float64(o.n))
		o.got = fmt.Sprint(sum)
	case "add":
		err = u.Add(ctx, o.collection, o.key, float64(o.n))
	case "getMany":
		var many map[string]json.RawMessage
		many, err = u.GetMany(ctx, o.collection, []string{"a", "p/b", o.key})
		for _, k := range slices.Sorted(maps.Keys(many)) {
			o.got += fmt.Sprintf("%s=%s ", k, many[k])
		}
	case "list":
		var keys []string
		var next string
		keys, next, err = u.List(ctx, o.collection, o.list)
		o.got = fmt.Sprint(keys, next)
	case "entries":
		var entries []Entry
		var next string
		entries, next, err = u.Entries(ctx, o.collection, o.list)
		for _, e := range entries {
			o.got += fmt.Sprintf("%s=%s ", e.Key, e.Value)
		}
		o.got += next
	}
	return err
}

// model is a store that does one thing at a time.
type model map[name]float64

func (m model) do(o op) string {
	n := name{o.collection, o.key}
	v, has := m[n]
	switch o.verb {
	case "get":
		if has {
			return fmt.Sprint(v)
		}
	case "has":
		return fmt.Sprint(has)
	case "set":
		m[n] = float64(o.n)
	case "delete":
		delete(m, n)
		return fmt.Sprint(has)
	case "increment":
		m[n] += float64(o.n)
		return fmt.Sprint(m[n])
	case "add":
		m[n] += float64(o.n)
	case "getMany":
		got := ""
		for _, k := range slices.Compact(slices.Sorted(slices.Values([]string{"a", "p/b", o.key}))) {
			if v, has := m[name{o.collection, k}]; has {
				got += fmt.Sprintf("%s=%v ", k, v)
			}
		}
		return got
	case "list":
		keys, next := m.page(o)
		return fmt.Sprint(keys, next)
	case "entries":
		keys, next := m.page(o)
		got := ""
		for _, k := range keys {
			got += fmt.Sprintf("%s=%v ", k, m[name{o.collection, k}])
		}
		return got + next
	}
	return ""
}

func (m model) page(o op) (keys []string, next string) {
	for n := range m {
		if n.collection == o.collection && strings.HasPrefix(n.key, o.list.Prefix) {
			keys = append(keys, n.key)
		}
	}
	slices.Sort(keys)
	if o.list.Cursor != "" {
		keys = slices.DeleteFunc(keys, func(k string) bool {
			c := cmp.Compare(k, "p/b")
			return c == 0 || c < 0 != o.list.Reverse
		})
	}
	if o.list.Reverse {
		slices.Reverse(keys)
	}
	if limit := o.list.limit(); len(keys) > limit {
		keys = keys[:limit]
		next = encodeCursor(o.list.direction(), keys[limit-1])
	}
	return keys, next
}

// segment is what an execution did between two commits.
type segment struct {
	ops []op
	at  int // of one that only read: the number of commits that its snapshot held
}

// history is what was committed, in that order, and what was only read.
type history struct {
	mu        sync.Mutex // guards all
	committed []segment
	read      []segment
}

// TestSerializable runs random executions at the same time and then the same ones one at a
// time, in the order of their commits, against a map: all must have answered the same. Each
// commit also adds to a counter, so that executions which only read know their place.
func TestSerializable(t *testing.T) {
	t.Parallel()
	rounds, clients, each := 3, 16, 60
	if os.Getenv("PICLOUD_LONG") != "" {
		rounds, each = 100, 200
	}
	for round := range rounds {
		r := newRig(t, Options{Recent: []int{0, 8}[round%2]})
		h := &history{}
		var all sync.WaitGroup
		seed := rand.Uint64()
		for client := range clients {
			all.Go(func() {
				rnd := rand.New(rand.NewPCG(seed, uint64(client)))
				for range each {
					if err := r.execute(h, rnd); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		m := h.replay(t)
		r.compare(t, m)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// execute runs one random execution to its end, as a dispatcher does.
func (r *rig) execute(h *history, rnd *rand.Rand) error {
	id := cloud.NewID[cloud.ExecutionID]()
	release := func() {}
	defer func() { release() }()
	seed := rnd.Uint64()
	for {
		err := r.run(h, id, rand.New(rand.NewPCG(seed, 0)))
		c := asContended(err)
		if c == nil {
			if cloud.KindOf(err) == cloud.Conflict { // one that can't be run again
				return nil
			}
			return err
		}
		if release, err = c.Turn(r.Context()); err != nil {
			return err
		}
	}
}

func (r *rig) run(h *history, id cloud.ExecutionID, rnd *rand.Rand) error {
	ctx := r.Context()
	var seg segment
	held := func(_ context.Context, tx *db.Tx) error {
		done := segment{ops: slices.Clone(seg.ops)}
		tx.AfterCommit(func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.committed = append(h.committed, done)
		})
		return nil
	}
	u := r.Begin(&cloud.Invocation{ID: id, App: r.app}, cloud.Limits{}, held)
	defer u.Close()
	if rnd.IntN(10) == 0 {
		u.NoRerun()
	}
	if rnd.IntN(5) == 0 {
		return r.runReader(h, u, rnd)
	}
	for range 1 + rnd.IntN(6) {
		o := randomOp(rnd)
		if err := o.do(ctx, u); err != nil {
			return err
		}
		seg.ops = append(seg.ops, o)
		runtime.Gosched()
		if rnd.IntN(10) == 0 {
			if err := u.Add(ctx, "count", "commits", 1); err != nil {
				return err
			}
			if err := u.Commit(ctx); err != nil {
				return err
			}
			seg.ops = nil
		}
	}
	if err := u.Add(ctx, "count", "commits", 1); err != nil {
		return err
	}
	return r.db.Update(ctx, u.applyHeld)
}

func (r *rig) runReader(h *history, u *Unit, rnd *rand.Rand) error {
	var seg segment
	v, found, err := u.Get(r.Context(), "count", "commits")
	if err != nil {
		return err
	}
	if found {
		if err := json.Unmarshal(v, &seg.at); err != nil {
			return err
		}
	}
	for range 4 {
		o := randomOp(rnd)
		if o.verb == "set" || o.verb == "delete" || o.verb == "increment" || o.verb == "add" {
			o.verb = "get"
		}
		if err := o.do(r.Context(), u); err != nil {
			return err
		}
		seg.ops = append(seg.ops, o)
		runtime.Gosched()
	}
	if !u.Empty() {
		return fmt.Errorf("an execution that only read has something to commit")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read = append(h.read, seg)
	return nil
}

func (h *history) replay(t *testing.T) model {
	m := model{}
	check := func(what string, i int, s segment) {
		for _, o := range s.ops {
			if want := m.do(o); o.got != want {
				t.Errorf("%s %d: %s %s/%s %+v answered %q, want %q", what, i, o.verb, o.collection, o.key, o.list, o.got, want)
			}
		}
	}
	slices.SortStableFunc(h.read, func(a, b segment) int { return cmp.Compare(a.at, b.at) })
	read := h.read
	for i := 0; ; i++ {
		for len(read) > 0 && read[0].at == i {
			check("reader at", i, read[0])
			read = read[1:]
		}
		if i == len(h.committed) {
			break
		}
		check("commit", i, h.committed[i])
	}
	if len(read) > 0 {
		t.Errorf("readers saw %d commits of %d", read[0].at, len(h.committed))
	}
	return m
}

// compare looks whether the database, and the sum of all events, are what the model says.
func (r *rig) compare(t *testing.T, m model) {
	t.Helper()
	stored, told := model{}, model{}
	u := r.begin1()
	for _, c := range []string{"c", "d"} {
		entries, _, err := u.Entries(u.ctx, c, ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			var v float64
			json.Unmarshal(e.Value, &v)
			stored[name{c, e.Key}] = v
		}
	}
	for _, e := range r.out.take() {
		told.tell(t, e)
	}
	delete(told, name{"count", "commits"})
	if !maps.Equal(stored, m) || !maps.Equal(told, m) {
		t.Errorf("the model ends at\n%v, the database at\n%v, the events at\n%v", m, stored, told)
	}
}

// tell applies an event, whose old value must be what the events before it left.
func (m model) tell(t *testing.T, event string) {
	var e struct {
		Op string
		KV struct {
			Collection, Key string
			Value, OldValue *float64
		}
	}
	_, payload, _ := strings.Cut(event, "{")
	if err := json.Unmarshal([]byte("{"+payload), &e); err != nil {
		t.Fatal(err)
	}
	n := name{e.KV.Collection, e.KV.Key}
	old, had := m[n]
	wantOp := "insert"
	switch {
	case e.KV.Value == nil:
		wantOp = "delete"
	case had:
		wantOp = "update"
	}
	if e.Op != wantOp || had != (e.KV.OldValue != nil) || had && *e.KV.OldValue != old {
		t.Errorf("event %s on %v", event, old)
	}
	if delete(m, n); e.KV.Value != nil {
		m[n] = *e.KV.Value
	}
}
