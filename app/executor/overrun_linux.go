package executor

import (
	"time"

	"golang.org/x/sys/unix"
)

// overrunNice gives a computing thread a quarter of a processor that something else wants
// all of, so that it still moves: with a thirtieth (15) one of a second took half a minute
// beside a program that was busy, and who has to wait for it waited no less.
const overrunNice = 5

func threadID() int { return unix.Gettid() }

// threadTime is the processor time that a thread of this process has used.
func threadTime(thread int) time.Duration { return clockTime(^thread<<3 | 6) } // MAKE_THREAD_CPUCLOCK of Linux

// processTime is the processor time that a child has used; 0 when it is gone.
func processTime(pid int) time.Duration { return clockTime(^pid<<3 | 2) } // MAKE_PROCESS_CPUCLOCK

func clockTime(clock int) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(int32(clock), &t) != nil {
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
