package db_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"picloud/db"
)

// versions is a schema of as many migrations as there are texts.
func versions(texts ...string) fs.FS {
	all := fstest.MapFS{}
	for i, text := range texts {
		all[filepath.Join("somewhere", "000"+string(rune('1'+i))+"_step.sql")] = &fstest.MapFile{Data: []byte(text)}
	}
	return all
}

const (
	step1 = "CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT) STRICT; CREATE TABLE children (parent INTEGER NOT NULL REFERENCES parents(id) ON DELETE CASCADE) STRICT;"
	step2 = "ALTER TABLE parents ADD COLUMN age INTEGER; UPDATE parents SET age = 42;"
	// The way to change a table that ALTER can't: with foreign keys on, the DROP would
	// delete the children.
	step3 = "CREATE TABLE fresh (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT; INSERT INTO fresh SELECT id, name FROM parents; DROP TABLE parents; ALTER TABLE fresh RENAME TO parents;"
)

func openAt(t *testing.T, path string, schema fs.FS) (*db.DB, error) {
	t.Helper()
	return db.Open(t.Context(), path, db.Options{Schema: schema, Durability: db.Relaxed})
}

// with opens the file, runs f and closes it.
func with(t *testing.T, path string, schema fs.FS, f func(*db.DB)) {
	t.Helper()
	d, err := openAt(t, path, schema)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	f(d)
}

func number(t *testing.T, d *db.DB, query string) (n int) {
	t.Helper()
	err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error { return rx.QueryRow(query).Scan(&n) })
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	with(t, path, versions(step1), func(d *db.DB) {
		update(t, d, "INSERT INTO parents VALUES (1, 'a')")
		update(t, d, "INSERT INTO children VALUES (1)")
	})
	with(t, path, versions(step1, step2), func(d *db.DB) {
		if age := number(t, d, "SELECT age FROM parents"); age != 42 {
			t.Errorf("age %d, want 42", age)
		}
	})
	with(t, path, versions(step1, step2, step3), func(d *db.DB) {
		if n := number(t, d, "SELECT count(*) FROM children"); n != 1 {
			t.Errorf("%d children survived the rebuild of their parents' table, want 1", n)
		}
		if version := number(t, d, "PRAGMA user_version"); version != 3 {
			t.Errorf("version %d, want 3", version)
		}
	})
	// The copies hold what was there before.
	with(t, path+".before-v2", versions(step1), func(d *db.DB) {
		if n := number(t, d, "SELECT count(*) FROM parents"); n != 1 {
			t.Errorf("the copy has %d rows, want 1", n)
		}
	})
	if info, err := os.Stat(path + ".before-v3"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("copy before version 3: %v, %v", info, err)
	}
	left, err := filepath.Glob(path + "*")
	if err != nil || len(left) != 3 {
		t.Errorf("files %q, %v, want the database and two copies", left, err)
	}
}

func TestNoCopyOfAnEmptyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	with(t, path, versions(step1, step2), func(*db.DB) {})
	if copies, err := filepath.Glob(path + ".before*"); err != nil || len(copies) != 0 {
		t.Errorf("copies %q, %v, want none", copies, err)
	}
}

func TestNewerFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	with(t, path, versions(step1, step2), func(*db.DB) {})
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = openAt(t, path, versions(step1))
	if err == nil {
		t.Fatal("opened")
	}
	for _, part := range []string{path, "version 2", "up to 1", "before-v2"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q doesn't contain %q", err, part)
		}
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the refused file has changed (%v)", err)
	}
}

func TestForeignFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	with(t, path, nil, func(d *db.DB) { update(t, d, "CREATE TABLE theirs (x)") })
	if _, err := openAt(t, path, versions(step1)); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("got %v, want that it is another program's", err)
	}
}

// A migration that fails leaves the file as it was; so does one that breaks a reference.
func TestMigrationFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ step, message string }{
		"bad SQL":          {"CREATE TABLE more (x) STRICT;", "0003_step.sql"},
		"broken reference": {"DELETE FROM parents;", "children refers to a row of parents"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.db")
			with(t, path, versions(step1), func(d *db.DB) {
				update(t, d, "INSERT INTO parents VALUES (1, 'a')")
				update(t, d, "INSERT INTO children VALUES (1)")
			})
			if _, err := openAt(t, path, versions(step1, step2, test.step)); err == nil || !strings.Contains(err.Error(), test.message) {
				t.Errorf("got %v, want an error with %q", err, test.message)
			}
			with(t, path, versions(step1), func(d *db.DB) { // version 1 still
				if n := number(t, d, "SELECT count(*) FROM pragma_table_info('parents')"); n != 2 {
					t.Errorf("%d columns, want 2: the step before the one that failed stayed", n)
				}
			})
		})
	}
}

func TestMigrationNames(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files []string
		want  string // in the error; "" is none
	}{
		"in order":           {[]string{"0002_b.sql", "0001_a.sql"}, ""},
		"other files":        {[]string{"0001_a.sql", "README.md"}, ""},
		"one is missing":     {[]string{"0001_a.sql", "0003_c.sql"}, "number 2 is missing"},
		"not from the start": {[]string{"0002_b.sql"}, "number 1 is missing"},
		"taken twice":        {[]string{"0001_a.sql", "0001_b.sql"}, "taken twice"},
		"no number":          {[]string{"first.sql"}, "begin with a number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := fstest.MapFS{}
			for _, file := range test.files {
				all[file] = &fstest.MapFile{Data: []byte("SELECT 1;")}
			}
			d, err := openAt(t, filepath.Join(t.TempDir(), "x.db"), all)
			if err == nil {
				err = errors.Join(err, d.Close())
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
