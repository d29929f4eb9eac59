// Package dbtest opens real databases for tests.
package dbtest

import (
	"context"
	"embed"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"picloud/db"
	"picloud/schema"
)

// Open opens a migrated picloud.db in tb.TempDir and closes it when the test ends. It
// doesn't fsync unless an option says so.
func Open(tb testing.TB, o ...func(*db.Options)) *db.DB {
	tb.Helper()
	return open(tb, "picloud.db", schema.State, stateFile, o)
}

// OpenLogs does so for logs.db.
func OpenLogs(tb testing.TB, o ...func(*db.Options)) *db.DB {
	tb.Helper()
	return open(tb, "logs.db", schema.Logs, logsFile, o)
}

// MaxPages bounds the file to n pages of 4 KiB, to test what a full disk does.
func MaxPages(n int) func(*db.Options) {
	return func(o *db.Options) { o.MaxPages = n }
}

// What a migrated file holds. Migrating takes most of the time of opening one, so a test
// binary does it once and then copies.
var (
	stateFile = sync.OnceValues(func() ([]byte, error) { return migrated(schema.State) })
	logsFile  = sync.OnceValues(func() ([]byte, error) { return migrated(schema.Logs) })
)

func migrated(migrations embed.FS) (file []byte, err error) {
	dir, err := os.MkdirTemp("", "dbtest")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "migrated.db")
	d, err := db.Open(context.Background(), path, options(migrations))
	if err != nil {
		return nil, err
	}
	if err := d.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func options(migrations embed.FS) db.Options {
	return db.Options{Schema: migrations, Durability: db.Relaxed}
}

func open(tb testing.TB, name string, migrations embed.FS, file func() ([]byte, error), set []func(*db.Options)) *db.DB {
	tb.Helper()
	o := options(migrations)
	for _, f := range set {
		f(&o)
	}
	path := filepath.Join(tb.TempDir(), name)
	if o.Schema == migrations { // unless an option chose another
		text, err := file()
		if err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	d, err := db.Open(tb.Context(), path, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Errorf("close %s: %v", name, err)
		}
	})
	return d
}
