// Package torture runs the real binary under mixed load, kills it at random moments, starts it
// again, and holds it to what PiCloud promises, from outside: over HTTP, and by looking into the
// files that a kill left. DESIGN.md says how it judges.
package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Options of Run; all are required.
type Options struct {
	Program    string    // the binary to run
	Dir        string    // for the data directory and the instance's log; made when it isn't there, must be empty
	Durability string    // full or relaxed, as `picloud serve` takes it
	Kills      int       // how many; the last round may take some more
	Clients    int       // that send requests at once, beside one that deploys and one that manages apps
	Seed       uint64    // of what is random here; the machine's own timing isn't
	Progress   io.Writer // gets a line after each round
}

// Durabilities are what there is to torture.
var Durabilities = []string{"full", "relaxed"}

// killsPerRound is how many kills an app lives through before it is drained and everything
// about it is checked.
const killsPerRound = 10

// torture is one Run.
type torture struct {
	o      Options
	rng    *rand.Rand // of the kills; each client has one of its own
	in     *instance
	api    *api
	to     *receiver
	report Report

	// gate is held for reading while a client makes a request, and for writing while the
	// supervisor wants quiet.
	gate  sync.RWMutex
	round atomic.Pointer[round]
	stop  context.CancelCauseFunc
}

// Run tortures a fresh instance. A promise that was broken is a *Violation among the errors; then
// the directory is left as it was found, for somebody to look at.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := emptyDir(o.Dir); err != nil {
		return nil, err
	}
	to, err := newReceiver(o.Seed)
	if err != nil {
		return nil, err
	}
	defer to.close()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	t := &torture{o: o, rng: rand.New(rand.NewPCG(o.Seed, 0)), to: to, stop: stop}
	t.report = Report{Durability: o.Durability, Seed: o.Seed, Kinds: map[string]int{}, began: time.Now()}
	t.in = newInstance(o.Program, o.Dir, o.Durability, t.broken)
	defer t.in.kill()
	t.api = newAPI(t.in)
	err = t.run(ctx)
	if v := context.Cause(ctx); v != nil && !errors.Is(v, context.Canceled) {
		err = v // what was found first, not what followed from it
	}
	t.report.Took = time.Since(t.report.began)
	return &t.report, err
}

func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("%s is not empty: give a directory for this alone", dir)
	}
	return nil
}

// broken stops everything because of what was found.
func (t *torture) broken(v *Violation) { t.stop(v) }

func (t *torture) run(ctx context.Context) error {
	if err := t.begin(ctx); err != nil {
		return err
	}
	crowd, cancel := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer t.gate.Unlock()
	defer cancel()
	defer t.in.close() // lets go of clients that wait for it
	for n := range t.o.Clients {
		clients.Go(func() { t.newClient(n).serve(crowd) })
	}
	for _, serve := range []func(context.Context){t.newReleaser().serve, t.newManager().serve, t.listen, t.download} {
		clients.Go(func() { serve(crowd) })
	}
	var before *round
	for t.report.Kills < t.o.Kills {
		if err := t.oneRound(ctx, before); err != nil {
			return err
		}
		before = t.round.Load()
		fmt.Fprintln(t.o.Progress, t.report.line(t.o.Kills))
	}
	return nil
}

// begin starts the instance for the first time and makes what all rounds share.
func (t *torture) begin(ctx context.Context) error {
	if err := t.up(ctx); err != nil {
		return err
	}
	if err := t.api.login(ctx); err != nil {
		return err
	}
	if err := t.api.must(ctx, "POST", "/apps", object{"slug": releaseApp}, nil); err != nil {
		return err
	}
	t.gate.Lock() // opened by the first round
	return nil
}

// up starts the instance and waits until it serves.
func (t *torture) up(ctx context.Context) error {
	began := time.Now()
	if err := t.in.start(t.settings()...); err != nil {
		return err
	}
	if err := t.in.ready(ctx); err != nil {
		return err
	}
	t.report.started(time.Since(began))
	return nil
}

// settings are what differs between starts: where the rows of waiting callers live, and where
// scripts run.
func (t *torture) settings() (more []string) {
	if t.rng.IntN(3) == 0 {
		more = append(more, "PICLOUD_SYNC_OUTBOX=table")
	}
	if t.rng.IntN(4) == 0 && runtime.GOOS == "linux" { // elsewhere it can't be had
		more = append(more, "PICLOUD_ISOLATION=process")
	}
	return more
}

// oneRound is an app's life: it is deployed, used through some kills, drained and checked. The
// app of the round before is checked once more, and deleted meanwhile. The gate is held when it
// begins and when it ends.
func (t *torture) oneRound(ctx context.Context, before *round) error {
	t.report.Rounds++
	rd := newRound(t.report.Rounds)
	if err := t.deploy(ctx, rd); err != nil {
		return err
	}
	t.round.Store(rd)
	var deletion sync.WaitGroup
	if before != nil {
		deletion.Go(func() { t.forget(ctx, before) })
	}
	t.gate.Unlock()
	err := t.killSome(ctx, rd)
	if err != nil {
		t.stop(err) // else who waits for the instance would hold the gate
	}
	deletion.Wait()
	t.gate.Lock()
	if err != nil {
		return err
	}
	return t.judgeAll(ctx, rd)
}

// killSome kills the instance, as often as a round has it. It runs when killSome returns.
func (t *torture) killSome(ctx context.Context, rd *round) error {
	for end := min(t.report.Kills+killsPerRound, t.o.Kills) - 1; t.report.Kills < end; {
		m := t.pick()
		if err := m.strike(m, ctx, t); err != nil {
			return err
		}
		if err := t.lookIntoFiles(ctx, always); err != nil {
			return err
		}
		if err := t.up(ctx); err != nil {
			return err
		}
		if err := t.recheck(ctx, rd); err != nil {
			return err
		}
	}
	return nil
}

func (t *torture) dataDir() string { return filepath.Join(t.o.Dir, "data") }
