package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

const (
	firstVerify = 10 * time.Minute // after the start, when there was none yet
	verifyCheck = time.Hour        // how often the schedule is looked at: the clock may be set meanwhile
)

// Verification is a trial of the replica: it was restored to a temporary file and checked.
type Verification struct {
	At      time.Time   `json:"at"`
	Seconds float64     `json:"seconds"` // that it took
	TXID    uint64      `json:"txid"`
	StateOf time.Time   `json:"state_of"` // what was restored
	Bytes   int64       `json:"bytes"`    // read from the target
	Rows    int64       `json:"rows"`
	Tables  []TableRows `json:"tables"`
	Error   string      `json:"error,omitempty"` // "": the replica is good
}

// ErrVerifying says that a verification runs already.
var ErrVerifying = errors.New("a verification runs already")

type verifier struct {
	busy  atomic.Bool
	asked chan struct{} // busy was set by BeginVerify
}

func (v *verifier) running() bool { return v.busy.Load() }

// Verify restores the newest state to a temporary file, checks its integrity, counts its rows
// and keeps the result for Status. A replica that is not good is no error of Verify's.
func (r *Replicator) Verify(ctx context.Context) (*Verification, error) {
	if r.verify.busy.Swap(true) {
		return nil, ErrVerifying
	}
	return r.verifyNow(ctx)
}

// BeginVerify is a Verify that nobody waits for: Status has its result. It runs in Serve.
func (r *Replicator) BeginVerify() error {
	if r.verify.busy.Swap(true) {
		return ErrVerifying
	}
	notify(r.verify.asked)
	return nil
}

// verifyNow verifies, for who has made it busy.
func (r *Replicator) verifyNow(ctx context.Context) (*Verification, error) {
	defer r.verify.busy.Store(false)
	start := time.Now()
	v := &Verification{At: start.UTC()}
	err := r.try(ctx, v)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	v.Seconds = time.Since(start).Seconds()
	if err != nil {
		v.Error = explain(err).Error()
		r.log.Error("the replica failed its verification", "target", r.target, "err", v.Error)
	} else {
		r.log.Info("the replica is verified", "state_of", v.StateOf.Format(time.RFC3339), "rows", v.Rows)
	}
	return v, r.notes.change(func() { r.notes.kept.Verification = v })
}

func (r *Replicator) try(ctx context.Context, v *Verification) error {
	want := uint64(r.db.Replica.Pos().TXID) // what the target said it has
	dir, err := os.MkdirTemp(r.o.Dir, "verify-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := r.Restore(ctx, Moment{}, filepath.Join(dir, "copy.db"))
	if err != nil {
		return err
	}
	v.TXID, v.StateOf, v.Bytes, v.Rows, v.Tables = p.TXID, p.At.UTC(), p.Bytes, p.Found.Rows, p.Found.Tables
	if p.TXID < want {
		return fmt.Errorf("only transaction %s can be restored, and %s was uploaded", FormatTXID(p.TXID), FormatTXID(want))
	}
	return nil
}

// verifyLoop verifies on schedule, and when it was asked to. What was verified is noted, so
// that a restart does not begin the time anew.
func (r *Replicator) verifyLoop(ctx context.Context) {
	r.sweepTrials()
	first := time.Now().Add(firstVerify)
	for {
		timer := time.NewTimer(r.untilVerify(first))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-r.verify.asked:
			timer.Stop()
			r.logVerify(r.verifyNow(ctx))
		case <-timer.C:
			if r.untilVerify(first) > 0 {
				continue
			}
			if r.trouble.any() == nil {
				r.logVerify(r.Verify(ctx))
			}
			first = time.Now().Add(verifyCheck) // when it could not be done
		}
	}
}

// untilVerify is how long until the next verification is due, or until the clock is looked
// at again.
func (r *Replicator) untilVerify(first time.Time) time.Duration {
	due := first
	if v := r.notes.verification(); v != nil && v.At.Add(r.o.VerifyEvery).After(first) {
		due = v.At.Add(r.o.VerifyEvery)
	}
	if r.o.VerifyEvery <= 0 {
		return verifyCheck
	}
	return max(0, min(time.Until(due), verifyCheck))
}

func (r *Replicator) logVerify(_ *Verification, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		r.log.Warn("verify the replica", "err", err)
	}
}

// sweepTrials removes what a verification left when the process was killed.
func (r *Replicator) sweepTrials() {
	left, _ := filepath.Glob(filepath.Join(r.o.Dir, "verify-*"))
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			r.log.Warn("remove what a verification left", "err", err)
		}
	}
}
