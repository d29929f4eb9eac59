package replica

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // litestream's driver; also in the build with the other one
)

// Inspection is what is in a database file.
type Inspection struct {
	Version int64 // PRAGMA user_version
	Rows    int64 // of all tables
	Tables  []TableRows
}

// TableRows counts a table.
type TableRows struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Inspect checks a database that nothing has open and that has no write-ahead log: its
// integrity and its foreign keys, and it counts the rows. It reads the whole file.
func Inspect(ctx context.Context, path string) (*Inspection, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: abs}).EscapedPath()+"?immutable=1")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	var result string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&result); err != nil {
		return nil, fmt.Errorf("check its integrity: %w", err)
	}
	if result != "ok" {
		return nil, fmt.Errorf("it is damaged: %s", result)
	}
	var table string
	err = db.QueryRowContext(ctx, `SELECT "table" FROM pragma_foreign_key_check LIMIT 1`).Scan(&table)
	if err == nil {
		return nil, fmt.Errorf("a row of %s refers to one that isn't there", table)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("check its foreign keys: %w", err)
	}
	return count(ctx, db)
}

func count(ctx context.Context, db *sql.DB) (*Inspection, error) {
	in := &Inspection{}
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&in.Version); err != nil {
		return nil, err
	}
	names, err := tables(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		t := TableRows{Table: name}
		q := `SELECT count(*) FROM "` + strings.ReplaceAll(name, `"`, `""`) + `"`
		if err := db.QueryRowContext(ctx, q).Scan(&t.Rows); err != nil {
			return nil, fmt.Errorf("count the rows of %s: %w", name, err)
		}
		in.Tables = append(in.Tables, t)
		in.Rows += t.Rows
	}
	return in, nil
}

// tables are those of the application, without SQLite's and litestream's own.
func tables(ctx context.Context, db *sql.DB) (names []string, err error) {
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_schema WHERE type = 'table'
		AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE '\_litestream\_%' ESCAPE '\' ORDER BY name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// spare is the room that is left free on a disk, in bytes.
const spare = 64 << 20

// room refuses what would fill the disk of dir.
func room(dir string, need int64) error {
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return nil // then the writing tells
	}
	free := int64(disk.Bavail) * int64(disk.Bsize)
	if free < need+spare {
		return &Problem{fmt.Sprintf("not enough room on the disk: %d MB are free and about %d MB are needed", free>>20, (need+spare)>>20), unix.ENOSPC}
	}
	return nil
}
