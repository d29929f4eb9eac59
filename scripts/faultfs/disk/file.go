package disk

import (
	"bytes"
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// file is an open file.
type file struct {
	d     *Disk
	name  string // when it was opened
	id    ID
	lower *fs.LoopbackFile
}

func (f *file) Read(ctx context.Context, buf []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if errno, _ := f.d.faults.apply(opRead, f.name); errno != 0 {
		return nil, errno
	}
	return f.lower.Read(ctx, buf, off)
}

func (f *file) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	errno, half := f.d.faults.apply(opWrite, f.name)
	if errno != 0 && (!half || len(data) < 2) {
		return 0, errno
	}
	if errno != 0 {
		data = data[:len(data)/2] // the next write says why
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n, errno := f.lower.Write(ctx, data, off)
	if errno == 0 && n > 0 {
		f.d.record(f.name, Op{Kind: Write, File: f.id, Off: off, Data: bytes.Clone(data[:n])})
	}
	return n, errno
}

func (f *file) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	if errno, _ := f.d.faults.apply(opFsync, f.name); errno != 0 {
		return errno
	}
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if errno := f.lower.Fsync(ctx, flags); errno != 0 {
		return errno
	}
	f.d.record(f.name, Op{Kind: Fsync, File: f.id})
	return 0
}

func (f *file) Lseek(ctx context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	return f.lower.Lseek(ctx, off, whence)
}

func (f *file) Flush(ctx context.Context) syscall.Errno { return f.lower.Flush(ctx) }

func (f *file) Release(ctx context.Context) syscall.Errno { return f.lower.Release(ctx) }
