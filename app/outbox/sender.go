package outbox

import (
	"context"
	"errors"
	"time"

	"picloud/app/cloud"
)

// Sender makes one attempt of a row that needs no script, such as a request to the outside
// world: inv.Event is the row's payload, inv.Key its idempotency key. It never returns nil,
// and returns soon after ctx ends, which it does after Options.SendTimeout. Without Err the
// row is done. An Err of kind Invalid, NotFound or Forbidden is final; any other is retried
// by the row's policy, or when its RetryAfter() time.Duration says, if it has one. One that
// is Uncounted(), of a host that can't be reached, costs no attempt; after Options.SendPatience
// of nothing but these the row is dead.
//
// Senders have permits of their own, Options.MaxSends, because they mostly wait.
type Sender func(ctx context.Context, inv *cloud.Invocation) *cloud.Result

// send runs a row by its Sender.
func (o *Outbox) send(ctx context.Context, inv *cloud.Invocation) (*cloud.Result, error) {
	started := o.now()
	f := o.o.Senders[inv.Source]
	if f == nil {
		return &cloud.Result{Started: started}, cloud.Errorf(cloud.Invalid, "nothing here sends what is of source %q", inv.Source)
	}
	ctx, cancel := context.WithTimeout(ctx, o.o.SendTimeout)
	defer cancel()
	res := f(ctx, inv)
	res.Started = started
	res.DurationMS = float64(o.now() - started)
	return res, res.Err
}

// noUse reports that a Sender's failure is final.
func noUse(err error) bool {
	switch cloud.KindOf(err) {
	case cloud.Invalid, cloud.NotFound, cloud.Forbidden:
		return true
	}
	return false
}

// retryAfter is how long a failure asks to wait; 0: it leaves that to the policy.
func retryAfter(err error) time.Duration {
	var later interface{ RetryAfter() time.Duration }
	if errors.As(err, &later) {
		return min(max(later.RetryAfter(), time.Millisecond), maxWait)
	}
	return 0
}

// uncounted reports that a failure costs its row no attempt.
func uncounted(err error) bool {
	var free interface{ Uncounted() bool }
	return errors.As(err, &free) && free.Uncounted()
}

// permits are taken and given back.
type permits chan struct{}

func newPermits(n int) permits {
	p := make(permits, n)
	for range n {
		p <- struct{}{}
	}
	return p
}

// TryEnter takes up to n permits and says how many.
func (p permits) TryEnter(n int) int {
	for i := range n {
		select {
		case <-p:
		default:
			return i
		}
	}
	return n
}

// Leave gives one back.
func (p permits) Leave() { p <- struct{}{} }
