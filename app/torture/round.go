package torture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// round is one app and what was asked of it.
type round struct {
	n     int
	app   string // its slug
	book  ledger
	sizes map[string]int // keys of its collections, when it was judged

	mu   sync.Mutex
	live []string // ids that the subscriber was sent
}

func newRound(n int) *round { return &round{n: n, app: fmt.Sprintf("round-%d", n)} }

// path of a route of the app.
func (rd *round) path(route string) string { return "/~" + rd.app + route }

// at is a path of the admin API about the app.
func (rd *round) at(path string) string { return "/apps/" + rd.app + path }

// deploy makes the app of a round; nobody is killed meanwhile.
func (t *torture) deploy(ctx context.Context, rd *round) error {
	if err := t.api.must(ctx, "POST", "/apps", object{"slug": rd.app}, nil); err != nil {
		return err
	}
	if err := t.api.must(ctx, "PUT", rd.at("/topics/news"), object{"external_subscribable": true, "auth_mode": "public"}, nil); err != nil {
		return err
	}
	return t.api.must(ctx, "POST", rd.at("/deploy"), project(t.to.url()), nil)
}

// forget deletes the app of a round that was judged, after it has seen that it still holds what
// it held then. A kill may leave it half emptied: then it is deleted again.
func (t *torture) forget(ctx context.Context, rd *round) {
	looked := false
	for refused := 0; ctx.Err() == nil; {
		sizes, gone, err := t.sizes(ctx, rd)
		switch {
		case gone && looked:
			return
		case err != nil && !gone:
			continue
		case !looked && !maps.Equal(sizes, rd.sizes):
			t.broken(&Violation{Promise: "what was there stays", Found: fmt.Sprintf("%s holds %v, but held %v", rd.app, sizes, rd.sizes)})
			return
		}
		looked = true
		got := t.api.admin(ctx, "DELETE", rd.at("?cascade=true"), nil)
		if got.status >= 400 && got.status != 404 {
			if refused++; refused == 100 {
				t.broken(&Violation{Promise: "an app can be deleted", Found: got.String()})
			}
		}
	}
}

// sizes are how many keys each collection of an app holds; gone says that the app isn't there.
func (t *torture) sizes(ctx context.Context, rd *round) (sizes map[string]int, gone bool, err error) {
	got := t.api.admin(ctx, "GET", rd.at("/kv?limit=200"), nil)
	if got.status == 404 {
		return nil, true, nil
	}
	var list struct {
		Items []struct {
			Collection string
			Keys       int
		}
	}
	if err := decoded(got, "list collections", &list); err != nil {
		return nil, false, err
	}
	sizes = map[string]int{}
	for _, c := range list.Items {
		sizes[c.Collection] = c.Keys
	}
	return sizes, false, nil
}

// dump reads a whole collection of numbers.
func (t *torture) dump(ctx context.Context, rd *round, collection string) (map[string]float64, error) {
	all := map[string]float64{}
	for cursor := ""; ; {
		var page struct {
			Entries []struct {
				Key   string
				Value float64
			}
			NextCursor string `json:"next_cursor"`
		}
		err := t.api.steadily(ctx, "dump "+collection, &page, func() answer {
			return t.api.public(ctx, "GET", rd.path("/dump?c="+collection+"&cursor="+url.QueryEscape(cursor)), nil)
		})
		if err != nil {
			return nil, err
		}
		for _, e := range page.Entries {
			all[e.Key] = e.Value
		}
		if cursor = page.NextCursor; cursor == "" {
			return all, nil
		}
	}
}

// drainTime is how long one row may be the oldest of the outbox before it counts as stuck.
const drainTime = time.Minute

// drain waits until the app's outbox is empty. How long that takes is the machine's affair, but
// the oldest row must not be the same for long.
func (t *torture) drain(ctx context.Context, rd *round) error {
	var oldest string
	var since time.Time
	for {
		var rows struct {
			Items []struct{ ID, Source, State, LastError string }
		}
		if err := t.api.must(ctx, "GET", rd.at("/outbox?limit=1"), nil, &rows); err != nil {
			return err
		}
		if len(rows.Items) == 0 {
			return nil
		}
		if id := rows.Items[0].ID; id != oldest {
			oldest, since = id, time.Now()
		}
		if time.Since(since) > drainTime {
			return &Violation{Promise: "no row is stuck", Found: fmt.Sprintf("the oldest row of %s is the same since %v: %+v", rd.app, since, rows.Items[0])}
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// stopTicks disables the app's schedule.
func (t *torture) stopTicks(ctx context.Context, rd *round) error {
	var list struct{ Triggers []struct{ ID, Kind string } }
	if err := t.api.must(ctx, "GET", rd.at("/triggers"), nil, &list); err != nil {
		return err
	}
	for _, trigger := range list.Triggers {
		if trigger.Kind == "cron" {
			if err := t.api.must(ctx, "PATCH", rd.at("/triggers/"+trigger.ID), object{"enabled": false}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// letters are the open dead letters of an app.
func (t *torture) letters(ctx context.Context, rd *round) (all []*letter, err error) {
	for cursor := ""; ; {
		var page struct {
			DeadLetters []*letter `json:"dead_letters"`
			NextCursor  string    `json:"next_cursor"`
		}
		if err := t.api.must(ctx, "GET", rd.at("/dead_letters?unresolved=true&limit=200&cursor="+url.QueryEscape(cursor)), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.DeadLetters...)
		if cursor = page.NextCursor; cursor == "" {
			return all, nil
		}
	}
}

// revive cures and replays all dead letters, until there are none.
func (t *torture) revive(ctx context.Context, rd *round) error {
	for range 20 {
		letters, err := t.letters(ctx, rd)
		if err != nil || len(letters) == 0 {
			return err
		}
		t.report.Letters += len(letters)
		for _, l := range letters {
			if id := l.id(); id != "" {
				if err := t.api.must(ctx, "PUT", rd.at("/kv/cure/"+id), object{"value": 1}, nil); err != nil {
					return err
				}
			}
		}
		if err := t.api.must(ctx, "POST", rd.at("/dead_letters/replay"), object{"filter": object{"unresolved": true}}, nil); err != nil {
			return err
		}
		if err := t.drain(ctx, rd); err != nil {
			return err
		}
	}
	return &Violation{Promise: "a dead letter can be replayed", Found: rd.app + " still has open letters after 20 replays of all of them"}
}

// state reads what the app holds, over HTTP.
func (t *torture) state(ctx context.Context, rd *round) (*state, error) {
	s := &state{counts: map[string]map[string]float64{}, live: rd.heardLive()}
	s.received, s.disorder = t.to.of(rd.n)
	sizes, _, err := t.sizes(ctx, rd)
	if err != nil {
		return nil, err
	}
	for collection := range sizes {
		if strings.HasPrefix(collection, "register") {
			continue
		}
		if s.counts[collection], err = t.dump(ctx, rd, collection); err != nil {
			return nil, err
		}
	}
	s.letters, err = t.letters(ctx, rd)
	return s, err
}

// judgeAll drains the app of a round and checks everything about it; then it kills the resting
// instance, looks into its files, and checks once more after the start.
func (t *torture) judgeAll(ctx context.Context, rd *round) error {
	if err := t.drain(ctx, rd); err != nil {
		return err
	}
	if err := errors.Join(t.stopTicks(ctx, rd), t.drain(ctx, rd)); err != nil {
		return err
	}
	s, err := t.state(ctx, rd)
	if err != nil {
		return err
	}
	if v := judgeDead(rd.book.all(), s); v != nil {
		return v
	}
	if err := t.revive(ctx, rd); err != nil {
		return err
	}
	if s, err = t.state(ctx, rd); err != nil {
		return err
	}
	if v := judge(rd.book.all(), s); v != nil {
		return v
	}
	t.report.judged(rd, s)
	t.in.kill()
	t.report.killed("at rest", 1)
	if err := t.lookIntoFiles(ctx, slices.Concat(always, atRest)); err != nil {
		return err
	}
	if err := t.up(ctx); err != nil {
		return err
	}
	if err := t.leftovers(); err != nil {
		return err
	}
	again, err := t.state(ctx, rd)
	if err != nil {
		return err
	}
	if v := judge(rd.book.all(), again); v != nil {
		return v
	}
	rd.sizes, _, err = t.sizes(ctx, rd)
	return err
}

// recheck looks at what the requests before the last kill left, as far as it must be there at
// once. What was unknown is settled by that, and must stay so.
func (t *torture) recheck(ctx context.Context, rd *round) error {
	fresh := rd.book.fresh(t.in.starts.Load())
	for batch := range slices.Chunk(fresh, 500) {
		ids, collections := present(batch)
		counts := map[string]map[string]float64{}
		err := t.api.steadily(ctx, "look at keys", &counts, func() answer {
			return t.api.public(ctx, "POST", rd.path("/look"), object{"ids": ids, "collections": collections})
		})
		if err != nil {
			return err
		}
		for _, e := range batch {
			if v := e.check(counts, e.Now); v != nil {
				return v
			}
			t.report.settle(e, counts)
		}
	}
	return nil
}

// present is what of the entries may be there at once, and where: never nil, which would be
// null in JSON.
func present(entries []*Entry) (ids, collections []string) {
	ids, collections = []string{}, []string{}
	for _, e := range entries {
		ids = append(ids, e.ID)
		collections = append(collections, e.Now...)
	}
	slices.Sort(collections)
	return ids, slices.Compact(collections)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
