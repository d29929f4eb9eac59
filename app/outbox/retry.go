package outbox

import (
	"math/rand/v2"
	"time"

	"picloud/app/cloud"
)

// Shapes of the wait between attempts.
const (
	Exponential = "exponential" // base, 2 x base, 4 x base, …
	Linear      = "linear"      // base, 2 x base, 3 x base, …
	Constant    = "constant"    // base each time
)

// Retry says how often a row is tried and how long it waits in between.
type Retry struct {
	MaxAttempts int    // all attempts, the first included; 1-100
	Backoff     string // Exponential, Linear or Constant
	BaseMS      int    // the first wait in milliseconds; at most a day
	JitterPct   int    // each wait is longer or shorter by up to this share, 0-100
}

// DefaultRetry makes three attempts, about one and two seconds apart.
var DefaultRetry = Retry{MaxAttempts: 3, Backoff: Exponential, BaseMS: 1000, JitterPct: 20}

const (
	maxAttempts = 100
	maxWait     = 24 * time.Hour
)

// Check tells what is wrong with r; the error is Invalid.
func (r Retry) Check() error {
	switch {
	case r.MaxAttempts < 1 || r.MaxAttempts > maxAttempts:
		return cloud.Errorf(cloud.Invalid, "retry_max_attempts is %d: write 1 to %d", r.MaxAttempts, maxAttempts)
	case r.Backoff != Exponential && r.Backoff != Linear && r.Backoff != Constant:
		return cloud.Errorf(cloud.Invalid, "retry_backoff is %q: write exponential, linear or constant", r.Backoff)
	case r.BaseMS < 0 || r.BaseMS > int(maxWait.Milliseconds()):
		return cloud.Errorf(cloud.Invalid, "retry_base_ms is %d: write 0 to %d", r.BaseMS, maxWait.Milliseconds())
	case r.JitterPct < 0 || r.JitterPct > 100:
		return cloud.Errorf(cloud.Invalid, "the jitter is %d %%: write 0 to 100", r.JitterPct)
	}
	return nil
}

// wait is how long to wait after the nth attempt has failed: at most a day, jitter aside.
func (r Retry) wait(n int) time.Duration {
	d := time.Duration(r.BaseMS) * time.Millisecond
	switch r.Backoff {
	case Exponential:
		for range n - 1 {
			if d *= 2; d >= maxWait {
				break
			}
		}
	case Linear:
		d *= time.Duration(n)
	}
	d = min(d, maxWait)
	if r.JitterPct == 0 || d == 0 {
		return d
	}
	share := (2*rand.Float64() - 1) * float64(r.JitterPct) / 100
	return d + time.Duration(share*float64(d))
}
