// Package cut says what a disk may hold after a power cut, from the record of what was done to
// it. It keeps to what a file system promises, and to no more: what fsync was called for is
// there; of all else any part may be, sectors of one write apart from each other.
package cut

import (
	"path"

	"picloud/scripts/faultfs/disk"
)

// Disk is what a record did so far. Content is durable after an fsync of the file, names after
// one of their directory.
type Disk struct {
	files map[disk.ID]*file
	dirs  map[disk.ID]bool
	names names     // durable
	lost  []disk.Op // changes of names since, in order
}

// names are the entries of every directory.
type names map[disk.ID]map[string]disk.ID

// New is an empty disk.
func New() *Disk {
	return &Disk{files: map[disk.ID]*file{}, dirs: map[disk.ID]bool{disk.Root: true}, names: names{}}
}

// Apply does one operation.
func (d *Disk) Apply(op disk.Op) {
	switch op.Kind {
	case disk.Create:
		d.file(op.File)
		d.lost = append(d.lost, op)
	case disk.Mkdir:
		d.dirs[op.File] = true
		d.lost = append(d.lost, op)
	case disk.Rename, disk.Unlink:
		d.lost = append(d.lost, op)
	case disk.Write, disk.Truncate:
		d.file(op.File).change(op)
	case disk.Fsync:
		d.file(op.File).sync()
	case disk.FsyncDir:
		d.syncNames(op.File)
	}
}

func (d *Disk) file(id disk.ID) *file {
	f := d.files[id]
	if f == nil {
		f = &file{}
		d.files[id] = f
	}
	return f
}

// syncNames makes durable what was done to the names in a directory.
func (d *Disk) syncNames(dir disk.ID) {
	var rest []disk.Op
	for _, op := range d.lost {
		if op.Dir == dir || op.NewDir == dir {
			d.names.apply(op)
		} else {
			rest = append(rest, op)
		}
	}
	d.lost = rest
}

func (n names) apply(op disk.Op) {
	switch op.Kind {
	case disk.Create, disk.Mkdir:
		n.set(op.Dir, op.Name, op.File)
	case disk.Unlink:
		delete(n[op.Dir], op.Name)
	case disk.Rename:
		if id, ok := n[op.Dir][op.Name]; ok {
			delete(n[op.Dir], op.Name)
			n.set(op.NewDir, op.NewName, id)
		}
	}
}

func (n names) set(dir disk.ID, name string, id disk.ID) {
	if n[dir] == nil {
		n[dir] = map[string]disk.ID{}
	}
	n[dir][name] = id
}

func (n names) clone() names {
	c := names{}
	for dir, entries := range n {
		for name, id := range entries {
			c.set(dir, name, id)
		}
	}
	return c
}

// Image is what a disk may hold: files by their path, and the directories.
type Image struct {
	Files map[string][]byte
	Dirs  []string // parents before what is in them
}

// Image is one possibility after a power cut now.
func (d *Disk) Image(luck *Luck) *Image {
	n := d.names.clone()
	for i, op := range d.lost {
		if luck.name(i, len(d.lost)) {
			n.apply(op)
		}
	}
	im := &Image{Files: map[string][]byte{}}
	d.collect(im, n, disk.Root, "", luck)
	return im
}

func (d *Disk) collect(im *Image, n names, dir disk.ID, prefix string, luck *Luck) {
	for _, name := range sorted(n[dir]) {
		id := n[dir][name]
		full := path.Join(prefix, name)
		if d.dirs[id] {
			im.Dirs = append(im.Dirs, full)
			d.collect(im, n, id, full, luck)
		} else {
			im.Files[full] = d.file(id).content(luck)
		}
	}
}
