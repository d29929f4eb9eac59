package replica

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/benbjohnson/litestream"
)

// Point is a state that can be restored.
type Point struct {
	TXID  uint64
	At    time.Time // of its upload, where the target keeps no better time
	Level int       // 0: as staged; higher: joined with those before it; 9: a snapshot
	Bytes int64     // of its file
}

// Points lists the states that can be restored, newest first: at most limit of those before
// the transaction before (0: from the newest on). It costs a LIST per level.
func (r *Replicator) Points(ctx context.Context, before uint64, limit int) ([]Point, error) {
	if err := r.guard.Init(ctx); err != nil {
		return nil, explain(err)
	}
	byTXID := map[uint64]Point{}
	first := ^uint64(0) // nothing before the oldest snapshot can be restored
	for level := litestream.SnapshotLevel; level >= 0; level-- {
		if level > r.levels && level != litestream.SnapshotLevel {
			continue
		}
		found, err := r.pointsOf(ctx, level)
		if err != nil {
			return nil, explain(err)
		}
		for _, p := range found {
			byTXID[p.TXID] = p // the lowest level last: its time is the finest
			if level == litestream.SnapshotLevel {
				first = min(first, p.TXID)
			}
		}
	}
	if first == ^uint64(0) { // young: everything is there from the first transaction on
		first = 0
	}
	var all []Point
	for id, p := range byTXID {
		if id >= first && (before == 0 || id < before) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b Point) int { return cmp.Compare(b.TXID, a.TXID) })
	return all[:min(limit, len(all))], nil
}

func (r *Replicator) pointsOf(ctx context.Context, level int) (all []Point, err error) {
	it, err := r.guard.LTXFiles(ctx, level, 0, false)
	if err != nil {
		return nil, err
	}
	for it.Next() {
		i := it.Item()
		all = append(all, Point{TXID: uint64(i.MaxTXID), At: i.CreatedAt.UTC(), Level: level, Bytes: i.Size})
	}
	return all, it.Close()
}
