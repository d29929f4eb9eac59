package executor

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_ARM

// The last two are the kernel's own on arm: cacheflush and set_tls.
var archCalls = []uint32{
	unix.SYS_MMAP2, unix.SYS_FUTEX_TIME64, unix.SYS_CLOCK_GETTIME64, unix.SYS_CLOCK_NANOSLEEP_TIME64, unix.SYS_EPOLL_WAIT, 0xf0002, 0xf0005,
}
