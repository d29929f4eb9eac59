package portable

import (
	"context"
	"slices"
	"strings"
	"testing"

	"picloud/db"
	"picloud/db/dbtest"
)

func allTables(t *testing.T, d *db.DB) (all []table) {
	t.Helper()
	err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) (err error) {
		all, err = tables(rx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Every table is an app's, and then takes part in exports by itself, or the instance's, and
// then says why. A table that this test names has neither an app_id nor a foreign key to a
// table of apps: give it one, or a line in instance.
func TestEveryTableIsKnown(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	all := allTables(t, d)
	for _, tt := range all {
		if instance[tt.name] != "" {
			t.Errorf("%s is both an app's and the instance's", tt.name)
		}
	}
	for name := range instance {
		err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
			found, err := texts(rx, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ?", name)
			if len(found) != 1 {
				t.Errorf("instance names %s, which is no table", name)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	for name := range left {
		if !slices.ContainsFunc(all, func(one table) bool { return one.name == name }) {
			t.Errorf("left names %s, which is no table of apps", name)
		}
	}
}

// What is an app's is found through its app_id, or through the row that a detail refers to.
func TestTables(t *testing.T) {
	t.Parallel()
	all := allTables(t, dbtest.Open(t))
	of := map[string]string{}
	var order []string
	for _, tt := range all {
		of[tt.name] = tt.of
		order = append(order, tt.name)
	}
	for name, want := range map[string]string{
		"scripts": "app_id = ?", "kv_entries": "app_id = ?",
		"script_versions":    "script_id IN (SELECT id FROM scripts WHERE app_id = ?)",
		"kv_trigger_details": "trigger_id IN (SELECT id FROM triggers WHERE app_id = ?)",
		"outbox":             "app_id = ? AND reply_to IS NULL",
	} {
		if of[name] != want {
			t.Errorf("%s: got %q, want %q", name, of[name], want)
		}
	}
	for _, pair := range [][2]string{{"scripts", "routes"}, {"scripts", "triggers"}, {"triggers", "kv_trigger_details"}, {"scripts", "script_versions"}} {
		if slices.Index(order, pair[0]) > slices.Index(order, pair[1]) {
			t.Errorf("%s comes after %s", pair[0], pair[1])
		}
	}
	for _, tt := range all {
		if tt.name == "outbox" && (tt.index("n") >= 0 || !tt.autonumbered()) {
			t.Error("the outbox keeps its numbers")
		}
	}
}

// A table whose rows would be left behind without a word is an error.
func TestUnknownTable(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	err := d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		if _, err := tx.Exec("CREATE TABLE stray (id BLOB NOT NULL PRIMARY KEY) STRICT"); err != nil {
			return err
		}
		_, err := tables(tx.Rx)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "stray") {
		t.Errorf("got %v, want an error that names the table", err)
	}
}
