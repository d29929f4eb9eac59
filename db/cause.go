package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"math/bits"
	"strings"
)

// Cause is who a change is counted for: ids that mean nothing to this package. The zero
// Cause is the platform itself.
type Cause struct{ App, Script, Trigger [16]byte }

// Share is the part that one cause has in what a commit wrote. The shares of a commit add up
// to what it wrote.
type Share struct {
	Cause      Cause
	Bytes      int64
	MicroSyncs int64 // millionths of an fsync
}

// CountFor says that the closure's changes are to be counted for a cause; without it they
// count for the platform. Called more often, each cause gets a part by its weight, which is
// at least 1.
func (tx *Tx) CountFor(c Cause, weight int64) {
	weight = max(weight, 1)
	tx.causes = append(tx.causes, caused{c, weight})
	tx.weights += weight
}

type caused struct {
	Cause
	weight int64
}

// rowCost is what a changed row weighs beside the texts and blobs of its statement, in
// bytes: numbers, ids, entries of indexes.
const rowCost = 100

// wrote adds what a statement that changed rows weighs.
func (tx *Tx) wrote(rows int64, args []any) {
	tx.cost += rowCost * rows
	for _, a := range args {
		switch a := a.(type) {
		case string:
			tx.cost += int64(len(a))
		case []byte:
			tx.cost += int64(len(a))
		case json.RawMessage:
			tx.cost += int64(len(a))
		}
	}
}

// reads says that a statement changes nothing.
func reads(query string) bool {
	q := strings.TrimLeft(query, "\t\n ")
	return strings.HasPrefix(q, "SELECT") || strings.HasPrefix(q, "WITH")
}

// Query is Rx.Query; a statement that changes rows and returns them weighs as one row.
func (tx *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	if !reads(query) {
		tx.wrote(1, args)
	}
	return tx.Rx.Query(query, args...)
}

// QueryRow is Rx.QueryRow, and weighs like Query.
func (tx *Tx) QueryRow(query string, args ...any) *sql.Row {
	if !reads(query) {
		tx.wrote(1, args)
	}
	return tx.Rx.QueryRow(query, args...)
}

// split divides what the batch wrote among the causes of the closures that were kept. The
// bytes go by what the closures asked SQLite to store; the fsyncs evenly to those that
// needed one, or to all when none did.
func (w *writer) split(batch []*request, wrote Written) []Share {
	w.shares = w.shares[:0]
	var cost, syncers int64
	for _, r := range batch {
		if r.err == nil {
			cost += max(r.tx.cost, 1)
			syncers += w.syncs(r)
		}
	}
	bytes, syncs := divider{n: wrote.LogBytes, total: cost}, divider{n: wrote.CommitSyncs() * 1e6, total: syncers}
	for _, r := range batch {
		if r.err == nil {
			w.share(r, bytes.part(max(r.tx.cost, 1)), syncs.part(w.syncs(r)))
		}
	}
	return w.shares
}

// syncs is 1 when the fsync of the commit counts for r.
func (w *writer) syncs(r *request) int64 {
	if r.durable || !w.fsync {
		return 1
	}
	return 0
}

// share divides a closure's part among its causes.
func (w *writer) share(r *request, bytes, syncs int64) {
	if len(r.tx.causes) == 0 {
		w.shares = append(w.shares, Share{Bytes: bytes, MicroSyncs: syncs})
		return
	}
	b, s := divider{n: bytes, total: r.tx.weights}, divider{n: syncs, total: r.tx.weights}
	for _, c := range r.tx.causes {
		w.shares = append(w.shares, Share{c.Cause, b.part(c.weight), s.part(c.weight)})
	}
}

// divider divides n into parts by weight, so that all parts together are n.
type divider struct{ n, total, weight, given int64 }

func (d *divider) part(weight int64) int64 {
	d.weight += weight
	if d.total == 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(d.n), uint64(d.weight))
	upTo, _ := bits.Div64(hi, lo, uint64(d.total))
	part := int64(upTo) - d.given
	d.given = int64(upTo)
	return part
}

// UpdateFor is Update for changes that are counted for a cause.
func (d *DB) UpdateFor(ctx context.Context, c Cause, f func(context.Context, *Tx) error) error {
	return d.Update(ctx, func(ctx context.Context, tx *Tx) error {
		tx.CountFor(c, 1)
		return f(ctx, tx)
	})
}
