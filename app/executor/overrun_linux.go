package executor

import (
	"time"

	"golang.org/x/sys/unix"
)

// overrunNice gives a computing thread a thirtieth of a processor that something else wants
// all of, so that it still moves.
const overrunNice = 15

func threadID() int { return unix.Gettid() }

// threadTime is the processor time that a thread of this process has used.
func threadTime(thread int) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(int32(^thread<<3|6), &t) != nil { // MAKE_THREAD_CPUCLOCK of Linux
		return 0
	}
	return time.Duration(t.Nano())
}

// lowerThread may be forbidden; the thread then competes like any other.
func lowerThread(thread int) bool {
	return unix.Setpriority(unix.PRIO_PROCESS, thread, overrunNice) == nil
}

// yieldThread lets the system give the processor to a thread that woke up meanwhile: by
// itself it may wait for its next tick, up to 10 ms away.
func yieldThread() { unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
