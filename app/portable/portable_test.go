package portable

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/db/dbtest"
	"picloud/schema"
)

// dump is an app's rows as text, by table; ids are left out when anonymous.
func dump(t *testing.T, rx *db.Rx, app cloud.AppID, anonymous bool) map[string][]string {
	t.Helper()
	all, err := tables(rx)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, tt := range all {
		err := tt.each(rx, app, func(r row) error {
			var b strings.Builder
			for i, c := range tt.cols {
				switch v := r[i].(type) {
				case []byte:
					if !anonymous && c.name != "registered_by_principal" {
						b.WriteString(hex.EncodeToString(v))
					}
				default:
					fmt.Fprint(&b, v)
				}
				b.WriteByte('|')
			}
			out[tt.name] = append(out[tt.name], b.String())
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(out[tt.name])
	}
	return out
}

func dumpOf(t *testing.T, d *db.DB, app cloud.AppID, anonymous bool) (out map[string][]string) {
	t.Helper()
	err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		out = dump(t, rx, app, anonymous)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, what string, got, want map[string][]string) {
	t.Helper()
	for name := range want {
		if !slices.Equal(got[name], want[name]) {
			t.Errorf("%s: %s differs:\ngot  %q\nwant %q", what, name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: got rows in %d tables, want %d", what, len(got), len(want))
	}
}

func exportTo(t *testing.T, d *db.DB, app cloud.AppID) string {
	t.Helper()
	snap, err := d.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	path := filepath.Join(t.TempDir(), "export")
	if err := Export(t.Context(), snap, app, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func importFrom(t *testing.T, d *db.DB, path string, o Options) (app cloud.AppID, done *Imported) {
	t.Helper()
	f, err := Open(t.Context(), path, "", d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		if app, err = NewID(tx.Rx, f); err != nil {
			return err
		}
		if _, err := tx.Exec("INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (?, ?, ?, 1, 2)", app, app.String(), f.Name); err != nil {
			return err
		}
		done, err = Import(tx, f, app, o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return app, done
}

func addUser(t *testing.T, d *db.DB, name string) cloud.UserID {
	t.Helper()
	u := cloud.NewID[cloud.UserID]()
	err := d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error { return stub(tx, u, name) })
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// Export and import give an app that exports to the same content, whatever it holds: on
// another instance with the same ids, beside the original with others.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			here, there := dbtest.Open(t), dbtest.Open(t)
			newApp(t, here, "other", seed+100, 3)
			app, _ := newApp(t, here, "mine", seed, 6)
			path := exportTo(t, here, app)
			want := dumpOf(t, here, app, false)
			if len(want) < len(allTables(t, here)) {
				t.Fatalf("the app has rows in %d tables only", len(want))
			}

			by := addUser(t, there, "ann")
			addUser(t, there, "mine0")
			addUser(t, there, "mine1")
			moved, _ := importFrom(t, there, path, Options{By: by, Opens: func(string) bool { return true }})
			if moved != app {
				t.Errorf("the moved app has another id")
			}
			same(t, "moved", dumpOf(t, there, moved, true), dumpOf(t, here, app, true))
			again := exportTo(t, there, moved)
			same(t, "exported again", contentOf(t, again, moved), contentOf(t, path, app))

			clone, done := importFrom(t, here, withoutDomains(t, path), Options{By: by, SkipTaken: true})
			if clone == app {
				t.Fatal("the copy has the original's id")
			}
			got, orig := dumpOf(t, here, clone, true), dumpOf(t, here, app, true)
			delete(orig, "domains")
			delete(orig, "secrets") // bound to the original's id
			same(t, "copy", got, orig)
			if done.Rows["scripts"] != len(orig["scripts"]) {
				t.Errorf("counted %d scripts, want %d", done.Rows["scripts"], len(orig["scripts"]))
			}
			same(t, "the original", dumpOf(t, here, app, false), want)
			if err := here.IntegrityCheck(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func withoutDomains(t *testing.T, path string) string {
	t.Helper()
	change(t, path, "DELETE FROM domains")
	return path
}

// change alters a file as somebody might by hand.
func change(t *testing.T, path, query string) {
	t.Helper()
	d, err := db.Open(t.Context(), path, db.Options{Schema: schema.State})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec(query)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func contentOf(t *testing.T, path string, app cloud.AppID) map[string][]string {
	t.Helper()
	d, err := db.Open(t.Context(), path, db.Options{Schema: schema.State})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return dumpOf(t, d, app, true)
}

// Nothing of other apps, no secret and no user's rights leave with a file.
func TestExportHasOneAppOnly(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	other, _ := newApp(t, d, "other", 7, 3)
	app, users := newApp(t, d, "mine", 8, 3)
	path := exportTo(t, d, app)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range map[string][]byte{"a password's hash": []byte("secret hash"), "another app's id": other[:], "another app's slug": []byte("App other"), "another app's user": []byte("other0")} {
		if bytes.Contains(b, secret) {
			t.Errorf("the file has %s", what)
		}
	}
	f, err := Open(t.Context(), path, "mine", d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	known, err := readPeople(f.snap.Rx)
	if err != nil || known[users[0]] != "mine0" {
		t.Errorf("the file knows %v, %v", known, err)
	}
	for table := range instance {
		if table == "apps" || table == "users" || table == "members" {
			continue
		}
		var n int
		if err := f.snap.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s has %d rows, %v", table, n, err)
		}
	}
}

// A file made by somebody else can't act for users of this instance, nor give rights to them
// unasked.
func TestImportTakesNoRights(t *testing.T) {
	t.Parallel()
	here, there := dbtest.Open(t), dbtest.Open(t)
	app, _ := newApp(t, here, "mine", 9, 3)
	path := exportTo(t, here, app)
	by, same := addUser(t, there, "ann"), addUser(t, there, "mine0")
	moved, _ := importFrom(t, there, path, Options{By: by})
	var others, members int
	err := there.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		if err := rx.QueryRow("SELECT count(*) FROM triggers WHERE registered_by_principal <> ?", by).Scan(&others); err != nil {
			return err
		}
		return rx.QueryRow("SELECT count(*) FROM members").Scan(&members)
	})
	if err != nil || others != 0 || members != 0 {
		t.Errorf("%d triggers run as others, %d members, %v", others, members, err)
	}

	third := dbtest.Open(t)
	by, same = addUser(t, third, "ann"), addUser(t, third, "Mine0")
	if moved, _ = importFrom(t, third, path, Options{By: by, Members: true}); moved != app {
		t.Error("another id")
	}
	err = third.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		list, err := readMembers(rx, moved)
		if len(list) != 1 || list[0].user != same || list[0].role != "editor" {
			t.Errorf("members: %v", list)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestImportLeavesWork(t *testing.T) {
	t.Parallel()
	here, there := dbtest.Open(t), dbtest.Open(t)
	app, _ := newApp(t, here, "mine", 10, 3)
	by := addUser(t, there, "ann")
	moved, done := importFrom(t, there, exportTo(t, here, app), Options{By: by, LeaveWork: true})
	if got := dumpOf(t, there, moved, true); len(got["outbox"]) != 0 || done.Rows["outbox"] != 0 || len(got["dead_letters"]) == 0 {
		t.Errorf("got %d rows of work and %d dead letters", len(got["outbox"]), len(got["dead_letters"]))
	}
}

// What isn't a whole database of ours is refused, with a reason, and nothing of it is run.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	app, _ := newApp(t, d, "mine", 11, 3)
	for _, tt := range []struct {
		name, query, app, want string
	}{
		{"a trigger of SQL", "CREATE TRIGGER evil AFTER INSERT ON scripts BEGIN DELETE FROM apps; END", "", "not those of a picloud.db"},
		{"a view", "CREATE VIEW v AS SELECT 1", "", "not those of a picloud.db"},
		{"a missing table", "DROP TABLE kv_entries", "", "not those of a picloud.db"},
		{"no app", "DELETE FROM apps", "", "has no app"},
		{"another app", "SELECT 1", "elsewhere", `has no app "elsewhere": it has mine`},
		{"several apps", "INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (zeroblob(16), 'zz', 'Z', 1, 1)", "", "several apps, say which: mine, zz"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := exportTo(t, d, app)
			change(t, path, tt.query)
			f, err := Open(t.Context(), path, tt.app, d)
			if err == nil {
				f.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	path := exportTo(t, d, app)
	change(t, path, "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)") // as a replica has it
	f, err := Open(t.Context(), path, "", d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := tables(f.snap.Rx); err != nil {
		t.Error(err)
	}
	for name, content := range map[string]string{"text": "hello", "half a file": "SQLite format 3\x00half"} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), path, "", d); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
}

// A file whose rows can't be what PiCloud wrote is refused whole.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	app, _ := newApp(t, d, "mine", 12, 3)
	for name, query := range map[string]string{
		"a value that is no JSON":   "UPDATE kv_entries SET value = '{'",
		"an unknown kind":           "UPDATE triggers SET kind = 'nonsense'",
		"a trigger without details": "DELETE FROM kv_trigger_details",
		"a short id":                "UPDATE routes SET id = x'0102' WHERE id = (SELECT min(id) FROM routes)",
	} {
		t.Run(name, func(t *testing.T) {
			there := dbtest.Open(t)
			by := addUser(t, there, "ann")
			path := exportTo(t, d, app)
			change(t, path, query)
			f, err := Open(t.Context(), path, "", there)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			err = there.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
				if _, err := tx.Exec("INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (?, 'new', 'n', 1, 2)", f.App); err != nil {
					return err
				}
				_, err := Import(tx, f, f.App, Options{By: by})
				return err
			})
			if cloud.KindOf(err) != cloud.Invalid {
				t.Errorf("got %v, want invalid", err)
			}
			if got := dumpOf(t, there, f.App, true); len(got) != 0 {
				t.Errorf("rows of %d tables stayed", len(got))
			}
		})
	}
}
