package cut_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"picloud/scripts/faultfs/cut"
	"picloud/scripts/faultfs/disk"
)

// replay does ops to an empty disk.
func replay(ops ...disk.Op) *cut.Disk {
	d := cut.New()
	for _, op := range ops {
		d.Apply(op)
	}
	return d
}

func create(id disk.ID, name string) disk.Op {
	return disk.Op{Kind: disk.Create, File: id, Dir: disk.Root, Name: name}
}

func write(id disk.ID, off int64, text string) disk.Op {
	return disk.Op{Kind: disk.Write, File: id, Off: off, Data: []byte(text)}
}

func truncate(id disk.ID, size int64) disk.Op {
	return disk.Op{Kind: disk.Truncate, File: id, Off: size}
}

func rename(from, to string) disk.Op {
	return disk.Op{Kind: disk.Rename, Dir: disk.Root, Name: from, NewDir: disk.Root, NewName: to}
}

func unlink(name string) disk.Op { return disk.Op{Kind: disk.Unlink, Dir: disk.Root, Name: name} }

func fsync(id disk.ID) disk.Op { return disk.Op{Kind: disk.Fsync, File: id} }

var syncNames = disk.Op{Kind: disk.FsyncDir, File: disk.Root}

// possible collects what a file may be after a power cut, over many lucks; "" stands for an
// empty file and "missing" for none.
func possible(d *cut.Disk, name string, modes ...cut.Mode) map[string]bool {
	found := map[string]bool{}
	for _, mode := range modes {
		for seed := range uint64(400) {
			text, ok := d.Image(cut.NewLuck(mode, seed)).Files[name]
			if ok {
				found[string(text)] = true
			} else {
				found["missing"] = true
			}
		}
	}
	return found
}

func set(all ...string) map[string]bool {
	m := map[string]bool{}
	for _, s := range all {
		m[s] = true
	}
	return m
}

func TestWhatMayBeThere(t *testing.T) {
	a, b := strings.Repeat("a", 512), strings.Repeat("b", 512)
	zero := strings.Repeat("\x00", 512)
	file := []disk.Op{create(2, "f"), syncNames}
	for _, tt := range []struct {
		name string
		ops  []disk.Op
		want map[string]bool
	}{
		{"synced: all of it", append(file, write(2, 0, a), fsync(2)), set(a)},
		{"not synced: the size and the sector, each or none", append(file, write(2, 0, a)), set("", a, zero)},
		{"synced, then overwritten", append(file, write(2, 0, a), fsync(2), write(2, 0, b)), set(a, b)},
		{"sectors in any order", append(file, write(2, 0, a+a), fsync(2), write(2, 0, b), write(2, 512, b)), set(a+a, a+b, b+a, b+b)},
		{"a write is torn", append(file, write(2, 0, a+a), fsync(2), write(2, 0, b+b)), set(a+a, a+b, b+a, b+b)},
		{"a later write of a sector brings the earlier one along", append(file, write(2, 0, a), fsync(2), write(2, 0, "x"), write(2, 1, "y")), set(a, "x"+a[1:], "xy"+a[2:])},
		{"cut, not synced", append(file, write(2, 0, a), fsync(2), truncate(2, 0)), set(a, zero, "")},
		{"cut, synced", append(file, write(2, 0, a), truncate(2, 3), fsync(2)), set("aaa")},
		{"a name that isn't synced", []disk.Op{create(2, "f"), write(2, 0, a), fsync(2)}, set("missing", a)},
		{"gone, not synced", append(file, write(2, 0, a), fsync(2), unlink("f")), set("missing", a)},
		{"gone, synced", append(file, write(2, 0, a), fsync(2), unlink("f"), syncNames), set("missing")},
		{"replaced in order", append(file, write(2, 0, a), fsync(2), create(3, "g"), write(3, 0, b), fsync(3), rename("g", "f")), set(a, b)},
		{"replaced without fsync", append(file, write(2, 0, a), fsync(2), create(3, "g"), write(3, 0, b), rename("g", "f"), syncNames), set("", zero, b)},
		{"replaced durably", append(file, write(2, 0, a), fsync(2), create(3, "g"), write(3, 0, b), fsync(3), rename("g", "f"), syncNames), set(b)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := possible(replay(tt.ops...), "f", cut.Modes...); !maps.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", names(got), names(tt.want))
			}
		})
	}
}

func TestModes(t *testing.T) {
	d := replay(create(2, "f"), syncNames, write(2, 0, "old"), fsync(2), create(3, "part"), write(3, 0, "fresh"), rename("part", "f"))
	for _, tt := range []struct {
		mode cut.Mode
		want map[string]bool
	}{
		{cut.None, set("old")},
		{cut.All, set("fresh")},
		{cut.Names, set("")},
		{cut.Content, set("old")},
		{cut.Ordered, set("old", "", "fresh")},
	} {
		if got := possible(d, "f", tt.mode); !maps.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.mode, names(got), names(tt.want))
		}
	}
}

// Nothing of a directory is there without its name.
func TestDirectoryIsLost(t *testing.T) {
	mkdir := disk.Op{Kind: disk.Mkdir, File: 2, Dir: disk.Root, Name: "data"}
	ops := []disk.Op{mkdir, {Kind: disk.Create, File: 3, Dir: 2, Name: "f"}, write(3, 0, "x"), fsync(3), {Kind: disk.FsyncDir, File: 2}}
	if got, want := possible(replay(ops...), "data/f", cut.Modes...), set("missing", "x"); !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", names(got), names(want))
	}
	if got, want := possible(replay(append(ops, syncNames)...), "data/f", cut.Modes...), set("x"); !maps.Equal(got, want) {
		t.Errorf("with the name synced: got %q, want %q", names(got), names(want))
	}
}

// At any moment of a random life: with all changes an image is what a program would read, and
// one that lacks none of what was synced before an fsync of everything; one mode and seed are
// one image.
func TestAllIsWhatWasWritten(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		d := cut.New()
		now := map[string][]byte{}
		ids := map[string]disk.ID{}
		next := disk.Root
		for range 200 {
			name := string(rune('a' + rng.IntN(4)))
			id, there := ids[name]
			switch n := rng.IntN(6); {
			case !there:
				next++
				ids[name], now[name] = next, []byte{}
				d.Apply(create(next, name))
			case n == 0:
				d.Apply(unlink(name))
				delete(ids, name)
				delete(now, name)
			case n == 1:
				size := rng.IntN(3000)
				d.Apply(truncate(id, int64(size)))
				now[name] = append(now[name], make([]byte, 3000)...)[:size]
			case n == 2:
				d.Apply(fsync(id))
			default:
				off, text := rng.IntN(2000), strings.Repeat(string(rune('A'+rng.IntN(26))), 1+rng.IntN(1500))
				d.Apply(write(id, int64(off), text))
				if grow := off + len(text) - len(now[name]); grow > 0 {
					now[name] = append(now[name], make([]byte, grow)...)
				}
				copy(now[name][off:], text)
			}
			if got := d.Image(cut.NewLuck(cut.All, 1)).Files; !maps.EqualFunc(got, now, bytes.Equal) {
				t.Fatalf("seed %d: the image isn't what was written", seed)
			}
		}
		for _, mode := range cut.Modes {
			if a, b := d.Image(cut.NewLuck(mode, seed)), d.Image(cut.NewLuck(mode, seed)); !reflect.DeepEqual(a, b) {
				t.Fatalf("seed %d, mode %s: two images of one luck differ", seed, mode)
			}
		}
		for _, id := range ids {
			d.Apply(fsync(id))
		}
		d.Apply(syncNames)
		for _, mode := range cut.Modes {
			if got := d.Image(cut.NewLuck(mode, seed)).Files; !maps.EqualFunc(got, now, bytes.Equal) {
				t.Fatalf("seed %d, mode %s: with everything synced the image isn't what was written", seed, mode)
			}
		}
	}
}

func names(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
