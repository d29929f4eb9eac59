package load

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// pace calls arrive for the arrivals 0 to total-1 when they are due, from a thread of its own:
// Go's timers are late by up to a millisecond while a process rests, which would be told as
// latency. An arrival that is late all the same comes at once, with the time at which it was due,
// so its latency counts the generator's own delay too.
func pace(total int, due func(n int) time.Time, arrive func(n int, due time.Time)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // else sleeps end up to 50 µs late
	for n := range total {
		at := due(n)
		for wait := time.Until(at); wait > 0; wait = time.Until(at) {
			t := unix.NsecToTimespec(int64(wait))
			_ = unix.Nanosleep(&t, nil) // when interrupted, the loop sleeps on
		}
		arrive(n, at)
	}
}
