package disk

import (
	"context"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
)

// dir is an open directory.
type dir struct {
	lister
	n *node
}

// lister is what the backing folder's own handle does.
type lister interface {
	fs.FileReaddirenter
	fs.FileSeekdirer
	fs.FileReleasedirer
}

func (n *node) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, _, errno := n.LoopbackNode.OpendirHandle(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	return &dir{lister: h.(lister), n: n}, 0, 0
}

func (d *dir) Fsyncdir(context.Context, uint32) syscall.Errno {
	name := filepath.Base(d.n.path())
	if errno, _ := d.n.d.faults.apply(opFsync, name); errno != 0 {
		return errno
	}
	d.n.d.mu.Lock()
	defer d.n.d.mu.Unlock()
	d.n.d.record(name, Op{Kind: FsyncDir, File: d.n.idLocked("")})
	return 0
}
