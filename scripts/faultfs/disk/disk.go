// Package disk is a FUSE file system over a folder: it fails on demand and records every
// change, with its data, in order.
package disk

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Options of Mount.
type Options struct {
	Backing string // folder that holds the files
	Dir     string // where to mount
	Record  string // file that gets every change; "": none is recorded
}

// Disk is a mounted folder.
type Disk struct {
	o      Options
	faults *faults
	server *fuse.Server

	mu  sync.Mutex // held by every change, so that the record has the order of the disk
	rec *recorder
}

// Mount mounts o.Backing at o.Dir. Who uses the mount must be another process.
func Mount(o Options) (_ *Disk, err error) {
	if o.Backing, err = filepath.Abs(o.Backing); err != nil {
		return nil, err
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	d := &Disk{o: o, faults: newFaults()}
	if d.rec, err = newRecorder(o.Record, o.Backing); err != nil {
		return nil, err
	}
	root, err := d.root()
	if err != nil {
		return nil, err
	}
	timeout := time.Minute // nobody else changes the folder
	d.server, err = fs.Mount(o.Dir, root, &fs.Options{
		EntryTimeout: &timeout,
		AttrTimeout:  &timeout,
		MountOptions: fuse.MountOptions{
			DirectMountStrict: true, // there may be no fusermount
			FsName:            "faultfs",
			Name:              "faultfs",
			AllowOther:        true,
			DisableXAttrs:     true,    // the kernel would ask before every write
			MaxWrite:          1 << 20, // so that few writes are split
		},
	})
	if err != nil {
		return nil, fmt.Errorf("mount (this needs root and /dev/fuse): %w", err)
	}
	return d, nil
}

// Unmount ends the disk, although files may be open, and completes the record.
func (d *Disk) Unmount() error {
	err := d.server.Unmount()
	if err != nil {
		err = syscall.Unmount(d.o.Dir, syscall.MNT_DETACH)
	} else {
		d.server.Wait()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(err, d.rec.close())
}

// AddFault puts a fault in force and returns its number.
func (d *Disk) AddFault(f *Fault) int { return d.faults.add(f) }

// mark puts text between the operations.
func (d *Disk) mark(text string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rec.add(Op{Kind: Mark, Name: text})
	return d.rec.err
}
