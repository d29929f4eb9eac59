package disk

import (
	"context"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or directory. What it doesn't say itself goes to the backing folder.
type node struct {
	fs.LoopbackNode
	d *Disk
}

func (d *Disk) root() (fs.InodeEmbedder, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(d.o.Backing, &st); err != nil {
		return nil, err
	}
	root := &fs.LoopbackRoot{Path: d.o.Backing, Dev: uint64(st.Dev)}
	root.NewNode = func(*fs.LoopbackRoot, *fs.Inode, string, *syscall.Stat_t) fs.InodeEmbedder {
		return &node{LoopbackNode: fs.LoopbackNode{RootData: root}, d: d}
	}
	root.RootNode = root.NewNode(root, nil, "", &st)
	return root.RootNode, nil
}

func (n *node) path() string { return filepath.Join(n.d.o.Backing, n.Path(n.Root())) }

// ino is the inode number of name in the directory n, or of n itself when name is empty.
func (n *node) ino(name string) (uint64, bool) {
	var st syscall.Stat_t
	err := syscall.Lstat(filepath.Join(n.path(), name), &st)
	return st.Ino, err == nil
}

// idLocked is what the record calls name in n, or n itself.
func (n *node) idLocked(name string) ID {
	ino, _ := n.ino(name)
	return n.d.rec.id(ino)
}

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	if errno, _ := n.d.faults.apply(opCreate, name); errno != 0 {
		return nil, nil, 0, errno
	}
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	_, there := n.ino(name)
	inode, h, _, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	if errno != 0 {
		return nil, nil, 0, errno
	}
	f := &file{d: n.d, name: name, id: n.idLocked(name), lower: h.(*fs.LoopbackFile)}
	if !there {
		n.d.record(name, Op{Kind: Create, File: f.id, Dir: n.idLocked(""), Name: name})
	} else if flags&syscall.O_TRUNC != 0 {
		n.d.record(name, Op{Kind: Truncate, File: f.id})
	}
	return inode, f, openFlags(name), 0
}

// openFlags keeps the kernel from answering for the disk, but for files that are mapped.
func openFlags(name string) uint32 {
	if mapped(name) {
		return 0
	}
	return fuse.FOPEN_DIRECT_IO
}

func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	name := filepath.Base(n.path())
	if errno, _ := n.d.faults.apply(opOpen, name); errno != 0 {
		return nil, 0, errno
	}
	cut := flags&syscall.O_TRUNC != 0
	if cut {
		if errno, _ := n.d.faults.apply(opTruncate, name); errno != 0 {
			return nil, 0, errno
		}
	}
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	h, _, errno := n.LoopbackNode.Open(ctx, flags)
	if errno != 0 {
		return nil, 0, errno
	}
	f := &file{d: n.d, name: name, id: n.idLocked(""), lower: h.(*fs.LoopbackFile)}
	if cut {
		n.d.record(name, Op{Kind: Truncate, File: f.id})
	}
	return f, openFlags(name), 0
}

func (n *node) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	size, resize := in.GetSize()
	name := filepath.Base(n.path())
	f, _ := h.(*file)
	if f != nil {
		name = f.name
	}
	if resize {
		if errno, _ := n.d.faults.apply(opTruncate, name); errno != 0 {
			return errno
		}
	}
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	var id ID
	var lower fs.FileHandle
	if f != nil {
		id, lower = f.id, f.lower
	} else {
		id = n.idLocked("")
	}
	errno := n.LoopbackNode.Setattr(ctx, lower, in, out)
	if errno == 0 && resize {
		n.d.record(name, Op{Kind: Truncate, File: id, Off: int64(size)})
	}
	return errno
}

func (n *node) Getattr(ctx context.Context, h fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if f, ok := h.(*file); ok {
		return f.lower.Getattr(ctx, out)
	}
	return n.LoopbackNode.Getattr(ctx, nil, out)
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if errno, _ := n.d.faults.apply(opMkdir, name); errno != 0 {
		return nil, errno
	}
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	inode, errno := n.LoopbackNode.Mkdir(ctx, name, mode, out)
	if errno == 0 {
		n.d.record(name, Op{Kind: Mkdir, File: n.idLocked(name), Dir: n.idLocked(""), Name: name})
	}
	return inode, errno
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	return n.remove(name, func() syscall.Errno { return n.LoopbackNode.Unlink(ctx, name) })
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.remove(name, func() syscall.Errno { return n.LoopbackNode.Rmdir(ctx, name) })
}

func (n *node) remove(name string, f func() syscall.Errno) syscall.Errno {
	if errno, _ := n.d.faults.apply(opUnlink, name); errno != 0 {
		return errno
	}
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	ino, _ := n.ino(name)
	errno := f()
	if errno == 0 {
		n.d.rec.forget(ino)
		n.d.record(name, Op{Kind: Unlink, Dir: n.idLocked(""), Name: name})
	}
	return errno
}

func (n *node) Rename(ctx context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.EINVAL
	}
	if errno, _ := n.d.faults.apply(opRename, newName); errno != 0 {
		return errno
	}
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	dir := to.(*node)
	replaced, there := dir.ino(newName)
	errno := n.LoopbackNode.Rename(ctx, name, to, newName, flags)
	if errno == 0 {
		if moved, _ := dir.ino(newName); there && moved != replaced {
			n.d.rec.forget(replaced)
		}
		n.d.record(newName, Op{Kind: Rename, Dir: n.idLocked(""), Name: name, NewDir: dir.idLocked(""), NewName: newName})
	}
	return errno
}

// What a record has no words for.

func (n *node) Symlink(context.Context, string, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

func (n *node) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

func (n *node) Link(context.Context, fs.InodeEmbedder, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

func (n *node) Tmpfile(context.Context, uint32, uint32, *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EOPNOTSUPP
}

// record appends op unless it is on a file that nothing on a disk depends on: SQLite makes its
// -shm anew whenever no process has it open.
func (d *Disk) record(name string, op Op) {
	if !mapped(name) {
		d.rec.add(op)
	}
}
