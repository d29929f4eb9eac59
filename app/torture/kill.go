package torture

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// moment is a kind of moment at which the instance is killed.
type moment struct {
	name   string
	weight int
	strike func(*moment, context.Context, *torture) error
}

// moments, with how often each is chosen. They begin and end as the supervisor has it: the
// instance runs before, and doesn't after.
var moments = []moment{
	{"under load", 64, (*moment).underLoad},
	{"after a commit moved pages to the file", 10, (*moment).atCheckpoint},
	{"while it started", 10, (*moment).whileStarting},
	{"several in a row", 4, (*moment).inARow},
	{"while it stopped", 8, (*moment).whileStopping},
	{"while it migrated a file", 4, (*moment).whileMigrating},
}

// pick chooses a kind.
func (t *torture) pick() *moment {
	sum := 0
	for _, m := range moments {
		sum += m.weight
	}
	n := t.rng.IntN(sum)
	for i := range moments {
		if n -= moments[i].weight; n < 0 {
			return &moments[i]
		}
	}
	panic("the weights changed")
}

// within is a random time up to most.
func (t *torture) within(most time.Duration) time.Duration {
	return time.Duration(t.rng.Int64N(int64(most)))
}

func (t *torture) strikeNow(name string) {
	if t.in.kill() {
		t.report.killed(name, 1)
	}
}

func (m *moment) underLoad(ctx context.Context, t *torture) error {
	if err := sleep(ctx, t.within(1400*time.Millisecond)); err != nil {
		return err
	}
	t.strikeNow(m.name)
	return nil
}

// atCheckpoint waits until the database file itself is written, which only happens at a
// checkpoint, or for a second.
func (m *moment) atCheckpoint(ctx context.Context, t *torture) error {
	name := filepath.Join(t.dataDir(), "picloud.db")
	before, err := os.Stat(name)
	if err != nil {
		return err
	}
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		now, err := os.Stat(name)
		if err != nil {
			return err
		}
		if !now.ModTime().Equal(before.ModTime()) || now.Size() != before.Size() {
			break
		}
		if err := sleep(ctx, 200*time.Microsecond); err != nil {
			return err
		}
	}
	t.strikeNow(m.name)
	return nil
}

func (m *moment) whileStarting(ctx context.Context, t *torture) error { return m.starts(ctx, t, 1) }

func (m *moment) inARow(ctx context.Context, t *torture) error {
	return m.starts(ctx, t, 2+t.rng.IntN(3))
}

// starts kills the instance, then n more starts before or soon after they were ready.
func (m *moment) starts(ctx context.Context, t *torture, n int) error {
	t.strikeNow(m.name)
	for range n {
		if err := t.in.start(); err != nil {
			return err
		}
		if err := sleep(ctx, t.within(t.report.usualStart()*3/2)); err != nil {
			return err
		}
		t.strikeNow(m.name)
	}
	return nil
}

func (m *moment) whileStopping(ctx context.Context, t *torture) error {
	if err := sleep(ctx, t.within(200*time.Millisecond)); err != nil {
		return err
	}
	if t.in.stopThenKill(t.within(60 * time.Millisecond)) {
		t.report.killed(m.name, 1)
	} else {
		t.report.Stops++
	}
	return nil
}
