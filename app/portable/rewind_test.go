package portable

import (
	"context"
	"slices"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/db/dbtest"
)

func exec(t *testing.T, d *db.DB, query string, args ...any) {
	t.Helper()
	err := d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func rewindTo(t *testing.T, d *db.DB, path string, app cloud.AppID) (plan []TableChange) {
	t.Helper()
	f, err := Open(t.Context(), path, app.String(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		plan, err = Plan(rx, f, app)
		return err
	})
	if err == nil {
		err = d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
			_, err := Rewind(tx, f, app, false)
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// An app goes back whole, whatever happened to it, and nobody else's rows move.
func TestRewind(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	other, _ := newApp(t, d, "other", 20, 4)
	app, users := newApp(t, d, "mine", 21, 5)
	path := exportTo(t, d, app)
	want, others := dumpOf(t, d, app, false), dumpOf(t, d, other, false)

	exec(t, d, "DELETE FROM scripts WHERE app_id = ?", app) // routes, triggers, versions too
	exec(t, d, "UPDATE kv_entries SET value = '1' WHERE app_id = ?", app)
	exec(t, d, "INSERT INTO kv_entries (app_id, collection, key, created_at, updated_at, value) VALUES (?, 'new', 'key', 1, 1, '2')", app)
	exec(t, d, "DELETE FROM outbox WHERE app_id = ?", app)
	exec(t, d, "DELETE FROM members WHERE app_id = ?", app)
	exec(t, d, "UPDATE apps SET name = 'renamed' WHERE id = ?", app)

	plan := rewindTo(t, d, path, app)
	same(t, "rewound", dumpOf(t, d, app, false), want)
	same(t, "the other app", dumpOf(t, d, other, false), others)
	kv := slices.IndexFunc(plan, func(c TableChange) bool { return c.Table == "kv_entries" })
	if kv < 0 || plan[kv].Removed != 1 || plan[kv].Changed != len(want["kv_entries"]) || plan[kv].Then != len(want["kv_entries"]) || !slices.Contains(plan[kv].Names, "- new/key") {
		t.Errorf("the plan for keys is %+v", plan)
	}
	scripts := slices.IndexFunc(plan, func(c TableChange) bool { return c.Table == "scripts" })
	if scripts < 0 || plan[scripts].Added != len(want["scripts"]) || !strings.HasPrefix(plan[scripts].Names[0], "+ t") {
		t.Errorf("the plan for scripts is %+v", plan)
	}
	err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		members, err := readMembers(rx, app)
		if len(members) != 0 {
			t.Errorf("rights that were taken from %v came back", users[0])
		}
		var name string
		if err == nil {
			err = rx.QueryRow("SELECT name FROM apps WHERE id = ?", app).Scan(&name)
		}
		if name != "renamed" {
			t.Errorf("the app is called %q", name)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if plan := rewindTo(t, d, path, app); len(plan) != 0 {
		t.Errorf("rewinding again would change %+v", plan)
	}
}

// Claims are of the process that made them.
func TestRewindReleasesRows(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	app, _ := newApp(t, d, "mine", 22, 3)
	exec(t, d, "UPDATE outbox SET claimed_at = 1, claimed_by = 'x', claim_token = x'01', lease_until = 2 WHERE app_id = ?", app)
	path := exportTo(t, d, app)
	rewindTo(t, d, path, app)
	var claimed, all int
	err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		return rx.QueryRow("SELECT count(claimed_at) + count(claim_token), count(*) FROM outbox").Scan(&claimed, &all)
	})
	if err != nil || claimed != 0 || all == 0 {
		t.Errorf("%d of %d rows are claimed, %v", claimed, all, err)
	}
}

// A version number never means two sources: what was saved since stays passed over.
func TestRewindSavesScriptsAgain(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	app, _ := newApp(t, d, "mine", 23, 1)
	exec(t, d, "DELETE FROM script_versions")
	exec(t, d, "UPDATE scripts SET version = 3, source = 'old' WHERE app_id = ?", app)
	exec(t, d, "INSERT INTO script_versions (script_id, version, engine, created_at, source) SELECT id, 3, 'quickjs', 1, 'old' FROM scripts")
	path := exportTo(t, d, app)
	exec(t, d, "UPDATE scripts SET version = 5, source = 'new' WHERE app_id = ?", app)
	rewindTo(t, d, path, app)
	var version int
	var source, kept string
	err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		if err := rx.QueryRow("SELECT version, source FROM scripts").Scan(&version, &source); err != nil {
			return err
		}
		return rx.QueryRow("SELECT source FROM script_versions WHERE version = 6").Scan(&kept)
	})
	if err != nil || version != 6 || source != "old" || kept != "old" {
		t.Errorf("got version %d with %q, kept %q, %v", version, source, kept, err)
	}
}

// A host that another app has claimed since is refused, or left out when that is asked for.
func TestRewindOfATakenDomain(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	other, _ := newApp(t, d, "other", 24, 1)
	app, _ := newApp(t, d, "mine", 25, 1)
	path := exportTo(t, d, app)
	exec(t, d, "UPDATE domains SET app_id = ? WHERE app_id = ?", other, app)
	f, err := Open(t.Context(), path, "", d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, skip := range []bool{false, true} {
		var done *Imported
		err := d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
			done, err = Rewind(tx, f, app, skip)
			return err
		})
		if skip != (err == nil) || !skip && cloud.KindOf(err) != cloud.Conflict {
			t.Errorf("skip %v: got %v", skip, err)
		}
		if skip && (len(done.Skipped) != 1 || !strings.HasPrefix(done.Skipped[0], "domain t")) {
			t.Errorf("skipped %q", done.Skipped)
		}
	}
}
