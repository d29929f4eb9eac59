package outbox

import "golang.org/x/sys/unix"

// threadNice gives a computing handler a quarter of a processor that something else wants
// all of, so that the events of a busy instance, or of one beside a busy program, still move.
// With a thirtieth (15) a handler of one second was cut off by its time limit.
const threadNice = 5

// yieldThread lowers the priority of the calling thread alone, which setpriority(2) does on
// Linux. That may be forbidden; the thread then competes like any other.
func yieldThread() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), threadNice) }
