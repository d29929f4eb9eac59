package outbox

import "golang.org/x/sys/unix"

// threadNice gives a computing handler a thirtieth of a processor that something else
// wants all of, so that a busy instance's events still move.
const threadNice = 15

// yieldThread lowers the priority of the calling thread alone, which setpriority(2) does on
// Linux. That may be forbidden; the thread then competes like any other.
func yieldThread() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), threadNice) }
