package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"

	"picloud/durable"
)

// Moment is the state that is wanted: that of a time, or after a transaction; zero: the newest.
type Moment struct {
	Timestamp time.Time
	TXID      uint64
}

// ParseTXID reads a transaction id as Points shows it: 16 hexadecimal digits.
func ParseTXID(s string) (uint64, error) {
	id, err := ltx.ParseTXID(s)
	if err != nil || id == 0 {
		return 0, fmt.Errorf("%q is not a transaction id: write the 16 hexadecimal digits that the list of points shows", s)
	}
	return uint64(id), nil
}

// FormatTXID writes a transaction id as litestream does.
func FormatTXID(id uint64) string { return ltx.TXID(id).String() }

// Restored is a state that was, or would be, restored.
type Restored struct {
	TXID  uint64
	At    time.Time // when the state was staged
	Files int       // to read from the target
	Bytes int64     // of them
	Found *Inspection
}

// ErrEmpty says that the target holds no replica.
var ErrEmpty = errors.New("the replica is empty")

// Plan finds out what Restore would do. Its error is ErrEmpty where there is no replica at
// all, and a *Problem where there is one without the wanted state.
func (r *Replicator) Plan(ctx context.Context, m Moment) (*Restored, error) {
	if m.TXID != 0 && !m.Timestamp.IsZero() {
		return nil, errors.New("give a time or a transaction id, not both")
	}
	if err := r.guard.Init(ctx); err != nil {
		return nil, explain(err)
	}
	files, err := litestream.CalcRestorePlan(ctx, r.guard, ltx.TXID(m.TXID), m.Timestamp, slog.New(quiet{r.log.Handler()}))
	if errors.Is(err, litestream.ErrTxNotAvailable) || errors.Is(err, litestream.ErrNoSnapshots) {
		return nil, r.unavailable(ctx, m)
	}
	if err != nil {
		return nil, explain(err)
	}
	last := files[len(files)-1]
	p := &Restored{TXID: uint64(last.MaxTXID), At: last.CreatedAt, Files: len(files)}
	for _, f := range files {
		p.Bytes += f.Size
	}
	return p, nil
}

// unavailable tells an empty target from one that lacks the wanted state. The latter must
// never be taken for the former: it would be written over.
func (r *Replicator) unavailable(ctx context.Context, m Moment) error {
	from, to, err := litestream.NewReplicaWithClient(nil, r.guard).TimeBounds(ctx)
	switch {
	case err != nil:
		return explain(err)
	case to.IsZero():
		return ErrEmpty
	case m == Moment{}:
		return &Problem{"the replica holds files, but no complete state can be made of them: look at it before anything is written there, or choose another path", litestream.ErrTxNotAvailable}
	}
	return &Problem{fmt.Sprintf("the replica has no such state: it reaches from %s to %s", from.UTC().Format(time.RFC3339), to.UTC().Format(time.RFC3339)), litestream.ErrTxNotAvailable}
}

// Restore writes the state of m to the file dst, which must not exist, and checks it: its
// integrity, its foreign keys, and its rows are counted. After an error there is no dst.
func (r *Replicator) Restore(ctx context.Context, m Moment, dst string) (*Restored, error) {
	p, err := r.Plan(ctx, m)
	if err != nil {
		return nil, err
	}
	if err := room(filepath.Dir(dst), 2*p.Bytes); err != nil {
		return nil, err
	}
	defer os.Remove(dst + ".tmp")
	if err := private(dst + ".tmp"); err != nil { // the library writes there first, with a wider mode
		return nil, err
	}
	o := litestream.NewRestoreOptions()
	o.OutputPath, o.TXID = dst, ltx.TXID(p.TXID)
	rep := litestream.NewReplicaWithClient(nil, r.guard)
	if err := rep.Restore(ctx, o); err != nil {
		return nil, explain(err)
	}
	p.Found, err = Inspect(ctx, dst)
	if err != nil {
		os.Remove(dst)
		return nil, fmt.Errorf("the restored file: %w", err)
	}
	return p, nil
}

// private makes an empty file that only its owner may read.
func private(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// RestoreIfMissing brings the database back when there is none, or an empty file, and the
// target has a replica. It must be called before anything opens the database. lead says that
// this process is going to replicate: then it takes the lease first, after waiting for that
// of another device to run out. An error means that nothing may be started: the replica
// could not be asked, or what it holds is in doubt.
func (r *Replicator) RestoreIfMissing(ctx context.Context, lead bool) (*Restored, error) {
	info, err := os.Stat(r.path)
	if err == nil && info.Size() > 0 {
		return nil, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if _, err := r.Plan(ctx, Moment{}); errors.Is(err, ErrEmpty) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if lead {
		if err := r.inherit(ctx); err != nil {
			return nil, explain(err)
		}
	}
	r.log.Info("the database is missing: restoring it", "from", r.target)
	p, aside, err := r.RestoreOver(ctx, Moment{})
	if err != nil {
		return nil, err
	}
	if aside != "" {
		r.log.Warn("set aside what the lost database left", "files", filepath.Base(r.path)+aside+"*")
	}
	r.log.Info("the database is restored", "state_of", p.At.UTC().Format(time.RFC3339), "txid", FormatTXID(p.TXID), "rows", p.Found.Rows)
	return p, nil
}

// inherit takes the lease for a device without a database, waiting at most for the time of
// one lease: that of a device that is gone has run out by then.
func (r *Replicator) inherit(ctx context.Context) error {
	var held *LeaseError
	err := r.lease.adopt(ctx)
	if !errors.As(err, &held) {
		return err
	}
	left := min(time.Until(held.ExpiresAt), leaseTTL) + time.Second
	r.log.Warn("another device holds the replica: waiting until its lease has run out", "owner", held.Owner, "seconds", int(left.Seconds()))
	if !sleep(ctx, left, nil) {
		return ctx.Err()
	}
	return r.lease.adopt(ctx)
}

// RestoreOver puts the state of m in the place of the database, which nothing has open. The
// former one and what belongs to it stay beside it, with the suffix that is returned, "" if
// there was none. A power cut leaves the former database, or what
// durable.FinishReplaceDatabase makes the restored one of.
func (r *Replicator) RestoreOver(ctx context.Context, m Moment) (p *Restored, aside string, err error) {
	part := r.path + ".restore"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	defer os.Remove(part)
	if p, err = r.Restore(ctx, m, part); err != nil {
		return nil, "", err
	}
	// What is staged belongs to the former database, which can do without it.
	stamp, err := durable.Stamp(filepath.Dir(r.path), time.Now())
	if err != nil {
		return nil, "", err
	}
	meta := r.db.MetaPath()
	if err := os.Rename(meta, meta+durable.AsideSuffix+stamp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	aside, err = durable.ReplaceDatabase(r.path, part, stamp)
	return p, aside, err
}
