// Command faultfs mounts a folder as a disk that fails on demand and remembers every change.
// It is a FUSE file system, for tests of what the product does when its disk is full, broken,
// slow or without power. It needs Linux, root and /dev/fuse, and nothing else.
//
//	go build -o /tmp/faultfs .
//	/tmp/faultfs -backing DIR -mount DIR [-control SOCKET] [-record FILE] [-fault 'SPEC']…
//	/tmp/faultfs -control SOCKET send 'COMMAND'
//
// It prints "ready" when the mount can be used, and unmounts on SIGINT or SIGTERM. After a
// kill -9 of it, `umount -l DIR` removes what is left. Run it as a process of its own: who uses
// a mount must not be who serves it.
//
// # Commands
//
// The control socket takes one command a line and answers each with one line that begins with
// "ok" or "error":
//
//	fault SPEC     adds a fault; answers its number
//	clear          removes all faults
//	clear N        removes fault N
//	stats          answers, for each operation, how often it was asked for and how often it failed
//	mark TEXT      puts a mark between the operations in the record
//
// # Faults
//
// A SPEC is words of the form key=value:
//
//	op=write,fsync    which operations: read write fsync open create truncate rename unlink mkdir,
//	                  or change for all but read and open; required
//	error=ENOSPC      what they answer: ENOSPC EIO EROFS EDQUOT EMFILE ENFILE EACCES ENOMEM;
//	                  without it the operations succeed, for a delay alone
//	match=picloud.db* only files whose name (without folders) the pattern matches; default *
//	after=100         lets the first 100 matching operations pass; default 0
//	count=1           fails so many, then passes again; default: all from then on
//	half=true         a write that fails has written the first half of its bytes
//	delay=50ms        how long each affected operation takes in addition
//
// So `op=write error=ENOSPC after=99 count=1` fails the hundredth write alone,
// `op=change error=EROFS` is a file system that went read-only, `op=write,fsync delay=50ms` is
// a slow card. Opening a file for writing is open, and change when the file is new (create) or
// cut (truncate).
//
// # What a client sees
//
// Reads and writes reach the disk one by one, in order, none is answered from memory: files are
// opened for direct I/O. Only SQLite's -shm files are not, because they are mapped into memory;
// their operations are neither recorded nor failed, unless match names them (*-shm). Locks
// (fcntl and flock) are the kernel's and hold between processes. Symbolic links, device files
// and fallocate are refused.
//
// # The record
//
// With -record every change is appended to FILE, in the order in which it happened, with the
// data: see the type Op in the package disk, and Read, which reads it back. What was in the
// folder before is at its beginning, as synced, up to the mark "mounted".
package main
