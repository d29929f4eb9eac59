package replica

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// health is how the remote calls went.
type health struct {
	puts, gets, lists, deletes, errs atomic.Int64

	mu        sync.Mutex // guards what follows
	lastOK    time.Time
	lastErr   error
	lastErrAt time.Time
}

// note takes the outcome of a call and hands it on. What ended because somebody stopped
// waiting says nothing of the target; a file that isn't there is an answer.
func (h *health) note(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil || errors.Is(err, os.ErrNotExist) {
		h.lastOK = time.Now()
		return err
	}
	h.failLocked(err)
	return err
}

// fail takes a failure that was not a remote call.
func (h *health) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failLocked(err)
}

func (h *health) failLocked(err error) {
	h.errs.Add(1)
	h.lastErr, h.lastErrAt = err, time.Now()
}

// last tells of the last success and the last failure.
func (h *health) last() (ok time.Time, err error, errAt time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lastOK, h.lastErr, h.lastErrAt
}
