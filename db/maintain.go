package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"picloud/durable"
)

// Size is how many bytes the file takes, with its write-ahead log. It doesn't open them.
func (d *DB) Size() (int64, error) {
	var sum int64
	for _, name := range []string{d.path, d.path + "-wal"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, nil
}

// Backup writes a consistent, compact copy of the database to dst while the database is in
// use. A file of that name is replaced, at the end and at once.
func (d *DB) Backup(ctx context.Context, dst string) error {
	return d.maintain(ctx, func(c *sql.Conn) error { return backup(ctx, c, dst) })
}

// Copy is Backup of a file that this process has not opened, while another process may be
// using it. A file that isn't there is an error.
func Copy(ctx context.Context, src, dst string) error {
	if _, err := os.Stat(src); err != nil {
		return err
	}
	src, err := filepath.Abs(src)
	if err != nil {
		return err
	}
	p, err := pool(src, commonPragmas, nil)
	if err != nil {
		return err
	}
	defer p.Close()
	c, err := p.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return backup(ctx, c, dst)
}

// Checkpoint moves what it can of the write-ahead log into the file, without waiting for
// readers or for the writer.
func (d *DB) Checkpoint(ctx context.Context) error {
	return d.maintain(ctx, func(c *sql.Conn) error {
		_, err := c.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
		return err
	})
}

// IntegrityCheck reads the whole file, which takes seconds per gigabyte; its error tells the
// first thing that is wrong.
func (d *DB) IntegrityCheck(ctx context.Context) error {
	return d.maintain(ctx, func(c *sql.Conn) error {
		var result string
		if err := c.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&result); err != nil {
			return err
		}
		if result != "ok" {
			return fmt.Errorf("%s is damaged: %s", d.path, result)
		}
		return checkForeignKeys(ctx, c)
	})
}

// maintain runs f on a connection of its own, outside of any transaction.
func (d *DB) maintain(ctx context.Context, f func(*sql.Conn) error) error {
	if err := enter(ctx); err != nil {
		return err
	}
	select {
	case <-d.writer.closing:
		return ErrClosed
	default:
	}
	p, err := pool(d.path, commonPragmas, nil)
	if err != nil {
		return err
	}
	defer p.Close()
	c, err := p.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(c)
}

// backup copies the database of c to dst: first under another name, so that dst is never
// half a copy.
func backup(ctx context.Context, c *sql.Conn, dst string) error {
	part := dst + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := create(part); err != nil { // for its mode
		return err
	}
	defer os.Remove(part)
	if _, err := c.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return err
	}
	if err := durable.Sync(part); err != nil {
		return err
	}
	if err := os.Rename(part, dst); err != nil {
		return err
	}
	return durable.Sync(filepath.Dir(dst))
}
