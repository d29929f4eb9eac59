package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
)

// aCopy is a directory with a copy of an instance's database, after change.
func aCopy(t *testing.T, change string) string {
	t.Helper()
	dir, to := t.TempDir(), t.TempDir()
	cfg, err := testConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if change != "" {
		if err := a.state.Update(t.Context(), func(_ context.Context, tx *db.Tx) error { _, err := tx.Exec(change); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if err := CopyDatabase(t.Context(), dir, filepath.Join(to, "picloud.db")); err != nil { // while it is open
		t.Fatal(err)
	}
	return to
}

func TestSelfTest(t *testing.T) {
	t.Parallel()
	got, err := RunSelfTest(t.Context(), aCopy(t, ""))
	if want := (SelfTest{Apps: 1, Scripts: 1, Schema: BuildVersion().Schema}); got != want || err != nil {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	dir := t.TempDir()
	if got, err := RunSelfTest(t.Context(), dir); got != (SelfTest{}) || err != nil {
		t.Errorf("without a copy: got %+v, %v", got, err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSelfTestFindsAScriptThatDoesNotCompile(t *testing.T) {
	t.Parallel()
	dir := aCopy(t, "UPDATE scripts SET source = 'export default ('")
	if _, err := RunSelfTest(t.Context(), dir); cloud.KindOf(err) != cloud.Invalid || !strings.Contains(err.Error(), "script hello of app default") {
		t.Errorf("got %v, want which script it is", err)
	}
}

func TestSelfTestFindsDamage(t *testing.T) {
	t.Parallel()
	dir := aCopy(t, "")
	name := filepath.Join(dir, "picloud.db")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(b) / 2; i < len(b); i++ {
		b[i] = 0xa5
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RunSelfTest(t.Context(), dir); err == nil {
		t.Error("want an error")
	}
}

func TestCopyOfNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := CopyDatabase(t.Context(), dir, filepath.Join(dir, "copy")); err == nil {
		t.Error("want an error")
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
