package torture

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"picloud/db"
	"picloud/schema"
)

// keptRows are how many keys an older file holds.
const keptRows = 3000

// firstWithData is the oldest version of the schema that has keys.
const firstWithData = 3

// whileMigrating kills starts on another data directory: one that is new, or one of an older
// version that must be migrated. The instance itself is killed too.
func (m *moment) whileMigrating(ctx context.Context, t *torture) error {
	t.strikeNow(m.name)
	dir, err := os.MkdirTemp(t.o.Dir, "older-")
	if err != nil {
		return err
	}
	newest := schema.Version(schema.State)
	version := firstWithData + t.rng.IntN(newest-firstWithData+1)
	if version == newest {
		version = 0 // a first start
	} else if err := older(ctx, filepath.Join(dir, "data"), version); err != nil {
		return err
	}
	in := newInstance(t.o.Program, dir, t.o.Durability, t.broken)
	defer in.kill()
	for range 1 + t.rng.IntN(3) {
		if err := in.start(); err != nil {
			return err
		}
		if err := sleep(ctx, t.within(t.report.usualStart())); err != nil {
			return err
		}
		if in.kill() {
			t.report.killed(m.name, 1)
		}
	}
	if err := in.start(); err != nil {
		return err
	}
	if err := in.ready(ctx); err != nil {
		return err
	}
	in.kill()
	if err := migrated(ctx, filepath.Join(dir, "data", "picloud.db"), version); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// upTo is the schema as it was at a version.
type upTo struct {
	fs.ReadDirFS
	version int
}

func (u upTo) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := u.ReadDirFS.ReadDir(name)
	return slices.DeleteFunc(slices.Clone(all), func(e fs.DirEntry) bool {
		return !e.IsDir() && e.Name()[:4] > fmt.Sprintf("%04d", u.version)
	}), err
}

// older makes a data directory of an older version, with data.
func older(ctx context.Context, dir string, version int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	d, err := db.Open(ctx, filepath.Join(dir, "picloud.db"), db.Options{Schema: upTo{schema.State, version}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Update(ctx, func(_ context.Context, tx *db.Tx) error {
		id, now := make([]byte, 16), time.Now().UnixMilli()
		if _, err := tx.Exec(`INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (?, 'kept', 'kept', ?, ?)`, id, now, now); err != nil {
			return err
		}
		_, err := tx.Exec(`WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < ?)
			INSERT INTO kv_entries (app_id, collection, key, created_at, updated_at, value) SELECT ?, 'kept', n, ?, ?, ? FROM i`, keptRows, id, now, now, `"`+strings.Repeat("x", 200)+`"`)
		return err
	})
}

// migrated checks a file that was killed over its migration, and then wasn't.
func migrated(ctx context.Context, path string, version int) error {
	check := slices.Clone(always[2:]) // the others are about the rounds' apps
	if version > 0 {
		check = append(check, invariant{"a migration keeps what is there", fmt.Sprintf(`SELECT count(*) || ' keys are left of an older file' FROM kv_entries WHERE collection = 'kept' HAVING count(*) <> %d`, keptRows)})
	}
	return inspect(ctx, path, schema.State, check)
}
