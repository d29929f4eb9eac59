package app

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"picloud/app/cloud"
	"picloud/app/control"
	"picloud/app/portable"
	"picloud/db"
	"picloud/schema"
)

// anInstance is an instance that doesn't run, and an export of an app that has a route, a
// trigger, a domain and an entry.
func anInstance(t testing.TB) (m *mover, file []byte) {
	t.Helper()
	cfg, err := testConfig(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	m = &mover{a, make(chan struct{}, 1)}
	var app cloud.AppID
	var script cloud.ScriptID
	err = a.state.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		if err := tx.QueryRow("SELECT app_id, id FROM scripts").Scan(&app, &script); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO kv_entries (app_id, collection, key, value, created_at, updated_at) VALUES (?, 'c', 'k', '{}', 1, 1)", app)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.control.CreateDomain(t.Context(), app, "shop.example.org", "exact"); err != nil {
		t.Fatal(err)
	}
	trigger := &cloud.Trigger{
		AppID: app, ScriptID: script, Kind: cloud.SourceCron, Enabled: true, RegisteredByPrincipal: cloud.NewID[cloud.UserID](),
		Cron: &cloud.CronFilter{Schedule: "0 9 * * *", Timezone: "Europe/Rome"},
	}
	if err := a.outbox.CreateTrigger(t.Context(), trigger); err != nil {
		t.Fatal(err)
	}
	f, err := m.export(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if file, err = io.ReadAll(f); err != nil {
		t.Fatal(err)
	}
	if err := a.control.DeleteApp(t.Context(), app, true); err != nil {
		t.Fatal(err)
	}
	return m, file
}

// altered is file after an SQL statement, as somebody might alter it by hand.
func altered(t testing.TB, file []byte, query string, args ...any) ([]byte, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := db.Open(t.Context(), path, db.Options{Schema: schema.State, Durability: db.Relaxed})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	d.Close()
	return os.ReadFile(path)
}

// FuzzImport: an app's file that somebody altered, a column by hand or bytes of it at random,
// is refused with a reason, or makes an app with which the instance starts again.
func FuzzImport(f *testing.F) {
	m, file := anInstance(f)
	var columns [][2]string // table, column
	err := m.state.View(f.Context(), func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query("SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY 1, 2")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c [2]string
			if err := rows.Scan(&c[0], &c[1]); err != nil {
				return err
			}
			columns = append(columns, c)
		}
		return rows.Err()
	})
	if err != nil {
		f.Fatal(err)
	}
	values := []any{"", "../x", "0 0 31 2 *", "\x00", "{", "[1]", []byte{}, []byte("0123456789abcdef"), int64(-1), int64(1) << 62, nil}
	for i, c := range columns {
		if slices.Contains([]string{"routes", "domains", "scripts", "cron_trigger_details"}, c[0]) || c[0] == "triggers" && c[1] == "kind" || c[1] == "quotas" {
			f.Add(i, i, "", 0, []byte(nil))
		}
	}
	f.Add(-1, 0, "", 100, []byte("\xff\xff"))
	f.Add(-1, 0, "", 4096, []byte{0x05, 0, 0, 0, 0})
	f.Add(-1, 0, "", 18, []byte{9, 9})
	f.Fuzz(func(t *testing.T, column, value int, text string, at int, patch []byte) {
		var err error
		bad := bytes.Clone(file)
		if column >= 0 {
			c, v := columns[column%len(columns)], any(text)
			if text == "" {
				v = values[uint(value)%uint(len(values))]
			}
			if bad, err = altered(t, file, "UPDATE "+c[0]+" SET "+c[1]+" = ?", v); err != nil {
				return // the table refuses it
			}
		}
		copy(bad[uint(at)%uint(len(bad)):], patch)
		app, _, err := m.importFile(t.Context(), bytes.NewReader(bad), "", portable.Options{Slug: "taken-in", By: cloud.NewID[cloud.UserID]()})
		if err != nil {
			if k := cloud.KindOf(err); k != cloud.Invalid && k != cloud.Conflict && k != cloud.NotFound {
				t.Errorf("refused with %s: %v", k, err)
			}
			return
		}
		if c, err := control.New(t.Context(), m.state, control.Options{Logger: m.log}); err != nil {
			t.Errorf("the instance would not start: %v", err)
		} else {
			c.Routes().Find("shop.example.org", "GET", "/hello")
		}
		if _, _, err := m.outbox.Triggers(t.Context(), app.ID, cloud.Page{}); err != nil {
			t.Errorf("its triggers can't be read: %v", err)
		}
		if err := m.state.IntegrityCheck(t.Context()); err != nil {
			t.Error(err)
		}
		if err := m.control.DeleteApp(t.Context(), app.ID, true); err != nil {
			t.Errorf("it can't be deleted: %v", err)
		}
	})
}
