package durable_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"picloud/durable"
)

func TestMakeDir(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for _, when := range []string{"first", "again"} {
		if err := durable.MakeDir(dir); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
	for _, d := range []string{dir, filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v, want mode 0700", d, info, err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.MakeDir(filepath.Join(file, "below")); err == nil {
		t.Error("made a directory below a file")
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"one", "another, longer", ""} {
		if err := durable.Replace(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v, want mode 0600", info, err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("%v, %v are there, want the file alone", names, err)
	}
	if err := durable.Replace(filepath.Join(t.TempDir(), "no", "file"), nil); err == nil {
		t.Error("replaced a file in a directory that isn't there")
	}
}

// A kill in the middle of Replace leaves a file that the next start removes, and no other.
func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"master.key", "master.key.787849984.replacing", "picloud.db.part"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.Sweep(dir); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if want := []string{filepath.Join(dir, "master.key"), filepath.Join(dir, "picloud.db.part")}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left: got %v %v, want %v", left, err, want)
	}
	if err := durable.Sweep(filepath.Join(dir, "none")); err != nil {
		t.Errorf("no such directory: %v", err)
	}
}
