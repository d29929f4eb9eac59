package db

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// migration is one file of the schema. The file's PRAGMA user_version is the version of the
// last one that it has.
type migration struct {
	version int
	name    string
	sql     string
}

// migrations reads them in order. A file is named NNNN_what.sql; numbers start at 1 and
// leave none out.
func migrations(schema fs.FS) ([]migration, error) {
	if schema == nil {
		return nil, nil
	}
	var all []migration
	err := fs.WalkDir(schema, ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || path.Ext(p) != ".sql" {
			return err
		}
		text, err := fs.ReadFile(schema, p)
		if err != nil {
			return err
		}
		number, _, _ := strings.Cut(path.Base(p), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return fmt.Errorf("migration %s: its name must begin with a number and \"_\"", p)
		}
		all = append(all, migration{version, path.Base(p), string(text)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b migration) int { return cmp.Compare(a.version, b.version) })
	for i, m := range all {
		if m.version != i+1 {
			return nil, fmt.Errorf("migration %s: number %d is missing or taken twice", m.name, i+1)
		}
	}
	return all, nil
}

// migrate brings the file to the newest version, on a connection of its own.
func (d *DB) migrate(ctx context.Context) error {
	all, err := migrations(d.o.Schema)
	if err != nil {
		return err
	}
	// Not a guarded or bounded connection: a migration commits for itself. Nor does it sync:
	// what a power cut takes back is migrated again.
	pool, err := pool(d.path, commonPragmas, nil)
	if err != nil {
		return err
	}
	defer pool.Close()
	c, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := checkWAL(ctx, c); err != nil {
		return err
	}
	version, err := checkVersion(ctx, c, len(all))
	if err != nil || version == len(all) {
		return err
	}
	if version > 0 {
		if err := backup(ctx, c, fmt.Sprintf("%s.before-v%d", d.path, len(all))); err != nil {
			return fmt.Errorf("copy the file before migrating it: %w", err)
		}
	}
	return apply(ctx, c, all)
}

// checkWAL makes sure that journal_mode=WAL took effect: where it can't, SQLite goes on
// with another mode.
func checkWAL(ctx context.Context, c *sql.Conn) error {
	var mode string
	if err := c.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("this file system can't share memory between connections (journal mode %s instead of wal): put the data directory on a local disk", mode)
	}
	return nil
}

// checkVersion returns the file's version, unless this program can't use the file.
func checkVersion(ctx context.Context, c *sql.Conn, newest int) (version int, err error) {
	if err := c.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, err
	}
	if version > newest {
		return 0, fmt.Errorf("the file has version %d and this program knows versions up to %d: start the newer program that wrote it, or restore the copy that it left beside the file (….before-v%d)", version, newest, version)
	}
	if version == 0 && newest > 0 {
		var tables int // but for those of litestream, which may open an empty file before us
		if err := c.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE '\_litestream\_%' ESCAPE '\'`).Scan(&tables); err != nil {
			return 0, err
		}
		if tables > 0 {
			return 0, errors.New("the file is a database of another program: move it away, or choose another data directory")
		}
	}
	return version, nil
}

// apply runs what is missing in one transaction. Foreign keys are off, so that a migration
// can rebuild a table, and checked before the commit.
func apply(ctx context.Context, c *sql.Conn, all []migration) (err error) {
	if _, err := c.ExecContext(ctx, "PRAGMA foreign_keys=OFF"); err != nil {
		return err
	}
	if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = c.ExecContext(context.Background(), "ROLLBACK")
		}
	}()
	version, err := checkVersion(ctx, c, len(all)) // another process may have been faster
	if err != nil {
		return err
	}
	for _, m := range all[version:] {
		if _, err := c.ExecContext(ctx, m.sql); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
	}
	if err := checkForeignKeys(ctx, c); err != nil {
		return err
	}
	if _, err := c.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version=%d", len(all))); err != nil {
		return err
	}
	_, err = c.ExecContext(ctx, "COMMIT")
	return err
}

func checkForeignKeys(ctx context.Context, c *sql.Conn) error {
	var table, parent string
	var row sql.NullInt64
	var key int
	err := c.QueryRowContext(ctx, "PRAGMA foreign_key_check").Scan(&table, &row, &parent, &key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("after the migration a row of %s refers to a row of %s that isn't there", table, parent)
}
