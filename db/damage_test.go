package db_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picloud/db"
)

// Pages that went bad on the card are noticed by the transaction that comes upon them,
// and remembered; others go on.
func TestDamagedPage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	open := func() *db.DB {
		var o db.Options
		items(&o)
		o.Damaged = "delete it"
		d, err := db.Open(t.Context(), path, o)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := open()
	for i := range 20 {
		if err := d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
			_, err := tx.Exec("INSERT INTO items (name) VALUES (?)", strings.Repeat(string(rune('a'+i)), 3000))
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	half := len(b) / page / 2 * page
	copy(b[half:], bytes.Repeat([]byte{0xff}, len(b)-half))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}

	d = open()
	defer d.Close()
	ask := func(query string) error {
		return d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
			var x any
			return rx.QueryRow(query).Scan(&x)
		})
	}
	if err := ask("SELECT 1"); err != nil || d.Damaged() {
		t.Fatalf("before anybody reads them: got %v, damaged %v", err, d.Damaged())
	}
	if err := ask("SELECT sum(length(name)) FROM items"); !db.IsCorrupt(err) {
		t.Fatalf("got %v, want a damaged file", err)
	}
	if err := ask("SELECT 1"); err != nil || !d.Damaged() {
		t.Errorf("afterwards: got %v, damaged %v", err, d.Damaged())
	}
	if err := d.Fault(); err == nil || !strings.HasPrefix(err.Error(), "delete it: ") {
		t.Errorf("the fault: got %v, want it to say what to do", err)
	}
}
