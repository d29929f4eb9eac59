package db

import (
	"context"
	"database/sql"
	"net/url"
	"slices"
	"time"
)

// pragma is one setting of a connection.
type pragma struct{ name, value string }

// fileURI is path as a SQLite URI, so that no character of it is taken for a parameter.
func fileURI(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// maxStatements bounds what a connection keeps prepared between two transactions.
const maxStatements = 256

// conn is one connection and the statements prepared on it, by their text. One goroutine at
// a time uses it.
//
// Statements run with a background context: one that can end costs a goroutine per statement
// in both drivers, and would interrupt a transaction in its middle.
type conn struct {
	sql       *sql.Conn
	stmts     map[string]*stmt
	open      []*stmt   // those that may have open rows
	uses      uint64    // counts uses of statements
	idleSince time.Time // of a reader in the pool
}

type stmt struct {
	*sql.Stmt
	rows *sql.Rows // the last ones, open or not
	used uint64    // the connection's count at the last use
	once bool      // not in stmts
}

func newConn(ctx context.Context, pool *sql.DB) (*conn, error) {
	c, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{sql: c, stmts: map[string]*stmt{}}, nil
}

// close ends the connection. database/sql leaves the statements of a single connection to
// their owner, and SQLite keeps the file open for as long as there is one.
func (c *conn) close() error {
	c.closeRows()
	c.trim(0)
	return c.sql.Close()
}

// prepare returns the statement of a text. SQLite steps a statement in one place at a time:
// while rows of it are open, the text gets a second statement for once.
func (c *conn) prepare(query string) (*stmt, error) {
	s, known := c.stmts[query]
	if known && !s.busy() {
		c.uses++
		s.used = c.uses
		return s, nil
	}
	prepared, err := c.sql.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	c.uses++
	s = &stmt{Stmt: prepared, used: c.uses, once: known}
	if known {
		c.open = append(c.open, s)
	} else {
		c.stmts[query] = s
	}
	return s, nil
}

// busy says whether rows of s are open; Columns is the one method of Rows that tells.
func (s *stmt) busy() bool {
	if s.rows == nil {
		return false
	}
	_, err := s.rows.Columns()
	return err == nil
}

func (c *conn) exec(query string, args ...any) (sql.Result, error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(context.Background(), args...)
}

func (c *conn) run(query string) error {
	_, err := c.exec(query)
	return err
}

func (c *conn) query(query string, args ...any) (*sql.Rows, error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(context.Background(), args...)
	if err != nil {
		return nil, err
	}
	if s.rows == nil && !s.once {
		c.open = append(c.open, s)
	}
	s.rows = rows
	return rows, nil
}

func (c *conn) queryRow(query string, args ...any) *sql.Row {
	s, err := c.prepare(query)
	if err != nil {
		return failedRow(c.sql, err)
	}
	return s.QueryRowContext(context.Background(), args...)
}

// closeRows closes what a closure left open: open rows would keep the snapshot.
func (c *conn) closeRows() {
	for _, s := range c.open {
		if s.rows != nil {
			s.rows.Close()
			s.rows = nil
		}
		if s.once {
			s.Close()
		}
	}
	clear(c.open)
	c.open = c.open[:0]
}

// finish is called between two transactions.
func (c *conn) finish() {
	c.closeRows()
	if len(c.stmts) > maxStatements {
		c.trim(maxStatements * 3 / 4) // not one by one, sorting them each time
	}
}

// trim keeps the n statements used last.
func (c *conn) trim(n int) {
	if len(c.stmts) <= n {
		return
	}
	uses := make([]uint64, 0, len(c.stmts))
	for _, s := range c.stmts {
		uses = append(uses, s.used)
	}
	slices.Sort(uses)
	last := uses[len(uses)-n-1] // of those to close
	for text, s := range c.stmts {
		if s.used <= last {
			s.Close()
			delete(c.stmts, text)
		}
	}
}

// failedRow is a row whose Scan returns err: database/sql has no other way to make one than
// a context that ended with it.
func failedRow(q interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, err error) *sql.Row {
	return q.QueryRowContext(ended{context.Background(), err}, "SELECT 1")
}

type ended struct {
	context.Context
	err error
}

var done = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (ended) Done() <-chan struct{} { return done }
func (e ended) Err() error          { return e.err }
