package executor

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A worker's filter of system calls: what the Go runtime needs to compute, to wait, and to
// read and write descriptors that are open already. No file can be opened, no connection
// made, no process started or signalled but the worker itself.

// allowedCalls are the same everywhere; archCalls adds to them.
var allowedCalls = append([]uint32{
	unix.SYS_READ, unix.SYS_WRITE, unix.SYS_FUTEX, unix.SYS_EPOLL_PWAIT, unix.SYS_NANOSLEEP, unix.SYS_MADVISE, unix.SYS_MPROTECT, unix.SYS_MUNMAP,
	unix.SYS_SCHED_YIELD, unix.SYS_RT_SIGRETURN, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGACTION, unix.SYS_SIGALTSTACK, unix.SYS_GETPID, unix.SYS_GETTID,
	unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_GETRANDOM, unix.SYS_EXIT, unix.SYS_EXIT_GROUP, unix.SYS_RESTART_SYSCALL, unix.SYS_CLOSE,
	unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EVENTFD2, unix.SYS_SCHED_GETAFFINITY, unix.SYS_BRK, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ,
}, archCalls...)

// Where seccomp_data has what the filter looks at; the machines are little-endian.
const (
	seccompCall = 0
	seccompArch = 4
	seccompArg0 = 16
)

func filterLine(code uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: code, K: k, Jt: yes, Jf: no}
}

func filterLoad(at uint32) unix.SockFilter {
	return filterLine(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, at, 0, 0)
}

func filterReturn(action uint32) unix.SockFilter {
	return filterLine(unix.BPF_RET|unix.BPF_K, action, 0, 0)
}

// filterEqual goes on when the loaded value is k, else it leaves out the next skip lines.
func filterEqual(k uint32, skip uint8) unix.SockFilter {
	return filterLine(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, k, 0, skip)
}

// workerFilter is the program for the process pid.
func workerFilter(pid int) []unix.SockFilter {
	allow, refuse := filterReturn(unix.SECCOMP_RET_ALLOW), filterReturn(unix.SECCOMP_RET_ERRNO|uint32(unix.EPERM))
	lines := []unix.SockFilter{
		filterLoad(seccompArch), filterLine(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, auditArch, 1, 0), filterReturn(unix.SECCOMP_RET_KILL_PROCESS),
		filterLoad(seccompCall),
	}
	for _, call := range allowedCalls {
		lines = append(lines, filterEqual(call, 1), allow)
	}
	// Threads, but no processes.
	lines = append(lines, filterEqual(unix.SYS_CLONE, 4), filterLoad(seccompArg0),
		filterLine(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, unix.CLONE_THREAD, 0, 1), allow, refuse)
	// Its arguments can't be looked at: libraries fall back to clone.
	lines = append(lines, filterEqual(unix.SYS_CLONE3, 1), filterReturn(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	// The runtime preempts its own threads by signals.
	for _, call := range []uint32{unix.SYS_TGKILL, unix.SYS_KILL} {
		lines = append(lines, filterEqual(call, 4), filterLoad(seccompArg0), filterEqual(uint32(pid), 1), allow, refuse)
	}
	return append(lines, refuse)
}

// filterCalls gives all threads of the process the filter, for good. Where the kernel has no
// such filter the worker goes without: try tells the operator.
func filterCalls() error {
	if auditArch == 0 {
		return nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up the right to new privileges: %w", err)
	}
	lines := workerFilter(os.Getpid())
	program := unix.SockFprog{Len: uint16(len(lines)), Filter: &lines[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(lines)
	if errno != 0 && !errors.Is(errno, unix.ENOSYS) && !errors.Is(errno, unix.EINVAL) {
		return fmt.Errorf("filter the worker's system calls: %w", errno)
	}
	return nil
}
