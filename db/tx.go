package db

import (
	"context"
	"database/sql"
	"time"
)

// Rx is a read transaction: one consistent snapshot. Helpers that only read take an Rx.
type Rx struct {
	Now time.Time // fixed for the whole transaction, UTC

	pool *sql.DB
	conn *conn           // nil once the transaction is over
	ctx  context.Context // the caller's, asked before each statement; nil: never
}

// Query prepares the statement once per connection, so query must be a constant or one of
// few texts. Rows left open are closed with the transaction.
func (rx *Rx) Query(query string, args ...any) (*sql.Rows, error) {
	if err := rx.over(); err != nil {
		return nil, err
	}
	return rx.conn.query(query, args...)
}

// QueryRow is Query for at most one row, which must be scanned.
func (rx *Rx) QueryRow(query string, args ...any) *sql.Row {
	if err := rx.over(); err != nil {
		return failedRow(rx.pool, err)
	}
	return rx.conn.queryRow(query, args...)
}

func (rx *Rx) over() error {
	if rx.conn == nil {
		return errOver
	}
	if rx.ctx != nil {
		return rx.ctx.Err()
	}
	return nil
}

// Tx is a closure's part of the write transaction. It embeds Rx, so read helpers work on it.
type Tx struct {
	*Rx
	batch uint64
	after []func()

	cost    int64 // what the closure asked SQLite to store, about
	causes  []caused
	weights int64 // of causes
}

// Exec runs one statement that writes; like Query it prepares it once, so a PRAGMA, which
// acts when it is prepared, acts once. A closure whose statement failed should return the
// error: what it did before is undone only then.
func (tx *Tx) Exec(query string, args ...any) (sql.Result, error) {
	if err := tx.over(); err != nil {
		return nil, err
	}
	res, err := tx.conn.exec(query, args...)
	if err == nil {
		rows, _ := res.RowsAffected() // both drivers know it already
		tx.wrote(rows, args)
	}
	return res, err
}

// AfterCommit registers f to run once the closure's changes are committed, in order, on the
// writer's goroutine: f must not block, and must not call Update. Nothing runs on rollback.
func (tx *Tx) AfterCommit(f func()) { tx.after = append(tx.after, f) }

// Batch numbers the group commit that the closure is part of; no two attempts to commit
// have the same number. Closures of one batch see each other's changes before those are
// committed.
func (tx *Tx) Batch() uint64 { return tx.batch }

// inside is the context given to closures: it knows that it is inside a transaction.
type inside struct{ context.Context }

type insideKey struct{}

func (c inside) Value(key any) any {
	if key == (insideKey{}) {
		return true
	}
	return c.Context.Value(key)
}

// enter refuses a transaction inside another: the writer would wait for itself, and a
// reader wouldn't see what the outer one wrote.
func enter(ctx context.Context) error {
	if ctx.Value(insideKey{}) != nil {
		return ErrNested
	}
	return ctx.Err()
}
