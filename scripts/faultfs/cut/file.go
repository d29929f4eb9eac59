package cut

import (
	"maps"
	"slices"

	"picloud/scripts/faultfs/disk"
)

// file is a file's durable content and what was done to it since, in order.
type file struct {
	durable []byte
	lost    []disk.Op
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (f *file) change(op disk.Op) { f.lost = append(f.lost, op) }

func (f *file) sync() {
	f.durable = replay(f.durable, f.lost)
	f.lost = nil
}

// replay does whole operations to content, which it may change.
func replay(content []byte, ops []disk.Op) []byte {
	for _, op := range ops {
		content = resize(content, sizeAfter(len(content), op))
		if op.Kind == disk.Write {
			copy(content[op.Off:], op.Data)
		}
	}
	return content
}

func sizeAfter(size int, op disk.Op) int {
	if op.Kind == disk.Truncate {
		return int(op.Off)
	}
	return max(size, int(op.Off)+len(op.Data))
}

// resize cuts content, or adds zeros.
func resize(content []byte, size int) []byte {
	if size <= len(content) {
		return content[:size]
	}
	old := len(content)
	content = slices.Grow(content, size-old)[:size]
	clear(content[old:])
	return content
}

// content is one possibility.
func (f *file) content(luck *Luck) []byte {
	switch {
	case luck.whole >= 0:
		n := int(luck.whole*float64(len(f.lost)) + 0.5)
		return replay(slices.Clone(f.durable), f.lost[:n])
	case len(f.lost) == 0:
		return slices.Clone(f.durable)
	}
	return f.torn(luck)
}

// torn lets each sector have any of the contents that it had in memory since it was durable:
// the system writes pages as they are at that moment, so a later change brings the earlier
// ones of the same sector along. The size is one of those that the file had.
func (f *file) torn(luck *Luck) []byte {
	sizes := []int{len(f.durable)}
	most := len(f.durable)
	for _, op := range f.lost {
		size := sizeAfter(sizes[len(sizes)-1], op)
		sizes = append(sizes, size)
		most = max(most, size)
	}
	out := make([]byte, most)
	copy(out, f.durable)
	seen := map[int]int{} // by sector: how many changes have reached it
	for i, op := range f.lost {
		from, to := int(op.Off), int(op.Off)+len(op.Data)
		if op.Kind == disk.Truncate {
			from, to = int(op.Off), max(sizes[i], int(op.Off))
		}
		for at := from; at < to; {
			sector := at / luck.sector
			end := min(to, (sector+1)*luck.sector)
			reached, ok := seen[sector]
			if !ok {
				reached = luck.changes(len(f.lost))
				seen[sector] = reached
			}
			if i < reached {
				f.put(out[at:end], op, at)
			}
			at = end
		}
	}
	return out[:sizes[luck.changes(len(f.lost))]]
}

// put does the part of op that begins at an offset of the file.
func (f *file) put(dst []byte, op disk.Op, at int) {
	if op.Kind == disk.Truncate {
		clear(dst)
	} else {
		copy(dst, op.Data[at-int(op.Off):])
	}
}
