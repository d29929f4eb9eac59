package replica

import (
	"context"
	"errors"
	"time"

	"github.com/benbjohnson/litestream"
)

// ahead is how far in the future a file may be stamped before its level counts as stuck.
const ahead = time.Minute

// unstick helps after the clock was ahead and has been corrected, as happens without a
// battery: the library compacts a level only once real time has passed its newest file. What
// it asks for here does not look at the clock. The newest files are remembered, so at rest it
// asks nothing of the target.
func (r *Replicator) unstick(ctx context.Context) {
	for level := 1; level <= r.levels; level++ {
		r.unstickLevel(ctx, level, func() error { _, err := r.db.Compact(ctx, level); return err })
	}
	r.unstickLevel(ctx, litestream.SnapshotLevel, func() error { _, err := r.db.Snapshot(ctx); return err })
}

func (r *Replicator) unstickLevel(ctx context.Context, level int, compact func() error) {
	newest, err := r.db.MaxLTXFileInfo(ctx, level)
	if err != nil || !newest.CreatedAt.After(time.Now().Add(ahead)) {
		return // the guard has noted the error
	}
	err = compact()
	switch {
	case errors.Is(err, litestream.ErrNoCompaction):
	case err != nil:
		r.log.Warn("the clock was ahead before: compact a level of the replica", "level", level, "err", explain(err))
	default:
		r.log.Info("the clock was ahead before: a level of the replica that waited for it is compacted", "level", level)
	}
}
