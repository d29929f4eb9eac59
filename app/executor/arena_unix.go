//go:build unix

package executor

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reserve takes a range of addresses that nothing can touch yet.
func reserve(size uintptr) (uintptr, error) {
	p, err := unix.MmapPtr(-1, 0, nil, size, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return 0, fmt.Errorf("reserve %d bytes for a script context: %w", size, err)
	}
	return uintptr(p), nil
}

func unreserve(base, size uintptr) { _ = unix.MunmapPtr(pointer(base), size) }

func protect(base, size uintptr, access bool) error {
	prot := unix.PROT_NONE
	if access {
		prot = unix.PROT_READ | unix.PROT_WRITE
	}
	return unix.Mprotect(memory(base, size), prot)
}

// discard gives the pages back; they read as zero afterwards.
func discard(base, size uintptr) { _ = unix.Madvise(memory(base, size), unix.MADV_DONTNEED) }

func pointer(p uintptr) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(nil), p) }
func memory(base, size uintptr) []byte { return unsafe.Slice((*byte)(pointer(base)), size) }
