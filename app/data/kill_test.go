package data

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/schema"
)

const killEnv = "PICLOUD_TEST_KILLED" // the database of the process that is to die

// TestKilledHalfWayLeavesNothing kills a process between an execution's changes and their
// commit, and looks at what the next process finds.
func TestKilledHalfWayLeavesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "picloud.db")
	open := func() *rig {
		d, err := db.Open(t.Context(), path, db.Options{Schema: schema.State})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		r := &rig{TB: t, db: d, out: &recorder{}}
		r.Store = New(d, r.out, Options{})
		return r
	}
	if victim := os.Getenv(killEnv); victim != "" {
		path = victim
		r := open()
		r.app = r.addApp("one")
		r.put("a", `1`)
		u := r.begin1()
		u.set("c", "a", `2`)
		u.set("c", "b", `2`)
		r.db.Update(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			if err := u.Apply(ctx, tx); err != nil {
				t.Fatal(err)
			}
			self, _ := os.FindProcess(os.Getpid())
			self.Kill()
			select {}
		})
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledHalfWayLeavesNothing$")
	child.Env = append(os.Environ(), killEnv+"="+path)
	if out, err := child.CombinedOutput(); err == nil || child.ProcessState.Exited() {
		t.Fatalf("the process was not killed: %v\n%s", err, out)
	}
	r := open()
	err := r.db.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		return rx.QueryRow(`SELECT id FROM apps WHERE slug = 'one'`).Scan(&r.app)
	})
	if err != nil {
		t.Fatal(err)
	}
	u := r.unit(r.app, cloud.Limits{})
	if got := u.get("c", "a") + u.get("c", "b"); got != "1-" {
		t.Errorf("got %s, want 1-", got)
	}
}
