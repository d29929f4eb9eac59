package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// An instance that is killed at random moments under mixed load keeps every promise: this is
// `picloud torture`, ten kills of it, and thirty with PICLOUD_LONG=1.
func TestTorture(t *testing.T) {
	kills, durabilities := "10", []string{"relaxed"}
	if long() {
		kills, durabilities = "15", []string{"full", "relaxed"}
	}
	exe, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, durability := range durabilities {
		dir := filepath.Join(t.TempDir(), "torture")
		out, err := exec.Command(exe, "torture", "--binary", exe, "--kills", kills, "--durability", durability, "--data-dir", dir).CombinedOutput()
		if err != nil {
			log, _ := os.ReadFile(filepath.Join(dir, durability, "log"))
			t.Fatalf("%v:\n%s\nthe end of its log:\n%s", err, out, log[max(0, len(log)-4000):])
		}
		if !strings.Contains(string(out), "requests: ") {
			t.Errorf("no report:\n%s", out)
		}
		t.Logf("%s", out)
	}
}

// What isn't a durability, an empty directory, or a number of kills is told, and nothing runs.
func TestTortureRefusesWhatItCantDo(t *testing.T) {
	exe, err := program()
	if err != nil {
		t.Fatal(err)
	}
	full := t.TempDir()
	if err := os.MkdirAll(filepath.Join(full, "full", "photos"), 0o700); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"full, relaxed or both": {"--durability", "most"},
		"1 or more":             {"--kills", "0"},
		"is not empty":          {"--durability", "full", "--data-dir", full},
	} {
		out, err := exec.Command(exe, append([]string{"torture"}, args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: got %v %s, want %q", args, err, out, want)
		}
	}
}
