//go:build mattn

package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/mattn/go-sqlite3"
)

// Driver names the SQLite driver that this binary was built with.
const Driver = "mattn"

// connector opens connections to path. mattn's DSN knows only some pragmas, so a connect
// hook runs all of them on every connection. When mayCommit isn't nil, a commit that it
// refuses becomes a rollback.
func connector(path string, pragmas []pragma, mayCommit func() bool) (driver.Connector, error) {
	hook := func(c *sqlite3.SQLiteConn) error {
		for _, p := range pragmas {
			if _, err := c.Exec("PRAGMA "+p.name+"="+p.value, nil); err != nil {
				return fmt.Errorf("pragma %s: %w", p.name, err)
			}
		}
		if mayCommit != nil {
			c.RegisterCommitHook(func() int {
				if mayCommit() {
					return 0
				}
				return 1
			})
		}
		return nil
	}
	// No mutex: database/sql lets one goroutine at a time use a connection.
	return mattn{&sqlite3.SQLiteDriver{ConnectHook: hook}, fileURI(path) + "?_mutex=no"}, nil
}

type mattn struct {
	driver *sqlite3.SQLiteDriver
	dsn    string
}

func (m mattn) Connect(context.Context) (driver.Conn, error) { return m.driver.Open(m.dsn) }
func (m mattn) Driver() driver.Driver                        { return m.driver }

// errorCode is the extended result code of a SQLite error, 0 for any other.
func errorCode(err error) int {
	if e, ok := errors.AsType[sqlite3.Error](err); ok {
		return int(e.ExtendedCode)
	}
	return 0
}
