package data

import (
	"context"
	"errors"
	"testing"

	"picloud/app/cloud"
	"picloud/app/outbox"
	"picloud/db"
)

// replace puts one entry in the place of all that an app has.
func (r *rig) replace() {
	r.Helper()
	err := r.db.Update(r.Context(), func(_ context.Context, tx *db.Tx) error {
		if _, err := tx.Exec("DELETE FROM kv_entries WHERE app_id = ?", r.app); err != nil {
			return err
		}
		r.Replaced(tx, r.app)
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
}

// Whoever began before an app's entries were replaced knew another app: even what it only
// wrote is stale. What began after is not.
func TestReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	other := r.addApp("other")
	r.put("a", `1`)
	blind, reader := r.begin1(), r.begin1()
	blind.set("c", "b", `2`)
	reader.get("c", "a")
	reader.set("c", "d", `2`)
	elsewhere := r.unit(other, cloud.Limits{})
	elsewhere.set("c", "a", `1`)
	r.replace()
	after := r.begin1()
	after.set("c", "after", `1`)
	for name, u := range map[string]*tunit{"only wrote": blind, "read": reader} {
		if err := r.commit(u); !errors.As(err, new(outbox.Contended)) {
			t.Errorf("%s: got %v, want to run again", name, err)
		}
	}
	r.mustCommit(after)
	r.mustCommit(elsewhere)
	if got := r.begin1().get("c", "b"); got != "-" {
		t.Errorf("a stale write is there: %s", got)
	}
}

// An execution that can't run again fails.
func TestReplacedUnderACaller(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	u := r.begin1()
	u.set("c", "b", `2`)
	u.NoRerun()
	r.replace()
	if err := r.commit(u); cloud.KindOf(err) != cloud.Conflict || errors.As(err, new(outbox.Contended)) {
		t.Errorf("got %v, want a conflict", err)
	}
}

// A person's change means the app as it is when it is made.
func TestReplacedAndAPerson(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.replace()
	r.put("a", `1`)
	if _, err := r.Put(t.Context(), cloud.Origin{App: r.app}, "c", "z", []byte(`1`), 0); err != nil {
		t.Error(err)
	}
	if n, err := r.Bytes(t.Context(), r.app); err != nil || n == 0 {
		t.Errorf("got %d bytes, %v", n, err)
	}
}
