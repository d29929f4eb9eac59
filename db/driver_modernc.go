//go:build !mattn

package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"net/url"

	"modernc.org/sqlite"
)

// Driver names the SQLite driver that this binary was built with.
const Driver = "modernc"

// connector opens connections to path. modernc takes every pragma in the DSN, in order.
// When mayCommit isn't nil, a commit that it refuses becomes a rollback.
func connector(path string, pragmas []pragma, mayCommit func() bool) (driver.Connector, error) {
	q := url.Values{}
	for _, p := range pragmas {
		q.Add("_pragma", p.name+"("+p.value+")")
	}
	base, err := sqlite.NewConnector(fileURI(path) + "?" + q.Encode())
	if err != nil || mayCommit == nil {
		return base, err
	}
	return guarded{base, mayCommit}, nil
}

type guarded struct {
	driver.Connector
	mayCommit func() bool
}

func (g guarded) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := g.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 {
		if g.mayCommit() {
			return 0
		}
		return 1
	})
	return c, nil
}

// errorCode is the extended result code of a SQLite error, 0 for any other.
func errorCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}
