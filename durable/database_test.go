package durable

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A restore in the second of another one, which is any time on a machine without a clock, took
// the name of what that one had set aside, and so the last copy of a database was gone.
func TestStamp(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 1, 2, 16, 4, 5, 999, time.FixedZone("", 3600))
	for _, want := range []string{"20260102T150405", "20260102T150405-2", "20260102T150405-3"} {
		got, err := Stamp(dir, now)
		if err != nil || got != want {
			t.Fatalf("got %q %v, want %s", got, err, want)
		}
		if err := Replace(filepath.Join(dir, "picloud.db"+AsideSuffix+got+"-wal"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Stamp(filepath.Join(dir, "missing"), now); err == nil {
		t.Error("a stamp for names in a directory that isn't there")
	}
}

// Cut off after any of its renames, a replacement is finished by the next start, which keeps
// the former database with its log, and does nothing when it comes again.
func TestReplaceDatabase(t *testing.T) {
	t.Parallel()
	const stamp = "20260102T150405"
	for done := range 5 {
		t.Run(fmt.Sprint(done), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "[data]", "picloud.db")
			files := map[string]string{"": "former", "-wal": "its log", "-shm": "its index", ".restore": "restored"}
			if err := MakeDir(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
			for suffix, text := range files {
				if err := Replace(path+suffix, []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			aside, err := "", error(nil)
			if done == 0 {
				aside, err = ReplaceDatabase(path, path+".restore", stamp)
			} else {
				for _, names := range [][2]string{{".restore", replacing + stamp}, {"-wal", AsideSuffix + stamp + "-wal"}, {"-shm", AsideSuffix + stamp + "-shm"}, {"", AsideSuffix + stamp}}[:done] {
					if err := os.Rename(path+names[0], path+names[1]); err != nil {
						t.Fatal(err)
					}
				}
				aside, err = FinishReplaceDatabase(path)
			}
			if want := AsideSuffix + stamp; err != nil || done < 4 && aside != want {
				t.Errorf("got %q %v, want %s", aside, err, want)
			}
			for range 2 {
				for suffix, want := range map[string]string{"": "restored", AsideSuffix + stamp: "former", AsideSuffix + stamp + "-wal": "its log", AsideSuffix + stamp + "-shm": "its index"} {
					if got, err := os.ReadFile(path + suffix); string(got) != want {
						t.Errorf("picloud.db%s: got %q %v, want %q", suffix, got, err, want)
					}
				}
				for _, suffix := range []string{"-wal", "-shm"} {
					if _, err := os.Stat(path + suffix); err == nil {
						t.Errorf("picloud.db%s, of the former database, lies beside the restored one", suffix)
					}
				}
				if _, err := ReplaceDatabase(path, path+".restore", stamp); err == nil {
					t.Error("replaced by a file that isn't there")
				}
				if aside, err := FinishReplaceDatabase(path); aside != "" || err != nil {
					t.Errorf("nothing to finish: got %q %v", aside, err)
				}
			}
		})
	}
}
