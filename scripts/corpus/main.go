// Command corpus keeps what fuzzing found: of the inputs in Go's fuzz cache it takes those that
// reach code of their package which no seed and no smaller input reaches, and writes them into the testdata of
// their package, where go test runs them from then on.
//
//	FUZZTIME=10m scripts/test fuzz && go run ./scripts/corpus
//
// Per target it keeps at most 60 files and 200 KB. Inputs with a path of this machine or with
// anything that looks like a key are left out.
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	mostFiles = 60
	mostBytes = 200_000
)

func main() {
	from := flag.String("from", "", "folder with the inputs by package and target; empty: Go's fuzz cache")
	only := flag.String("only", "", "the one target to look at; empty: all")
	flag.Parse()
	if err := run(*from, *only); err != nil {
		fmt.Fprintln(os.Stderr, "corpus:", err)
		os.Exit(1)
	}
}

func run(from, only string) error {
	if from == "" {
		cache, err := exec.Command("go", "env", "GOCACHE").Output()
		if err != nil {
			return err
		}
		from = filepath.Join(strings.TrimSpace(string(cache)), "fuzz", "picloud")
	}
	found, err := filepath.Glob(filepath.Join(from, "app", "*", "Fuzz*"))
	if err != nil {
		return err
	}
	more, err := filepath.Glob(filepath.Join(from, "app", "Fuzz*"))
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "corpus")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	for _, dir := range append(found, more...) {
		pkg, _ := filepath.Rel(from, filepath.Dir(dir)) // it is below
		if only != "" && only != filepath.Base(dir) {
			continue
		}
		t := target{pkg: pkg, name: filepath.Base(dir), found: dir, work: work}
		if err := t.keep(); err != nil {
			return fmt.Errorf("%s %s: %w", t.pkg, t.name, err)
		}
	}
	return nil
}

// target is one fuzz target with what was found for it.
type target struct{ pkg, name, found, work string }

// bin is the test program of the target's package.
func (t *target) bin() string {
	return filepath.Join(t.work, strings.ReplaceAll(t.pkg, "/", "-")+".test")
}

type input struct {
	name string
	text []byte
}

// keep writes the inputs that are worth it into the target's testdata.
func (t *target) keep() error {
	inputs, err := t.inputs()
	if err != nil {
		return err
	}
	if _, err := os.Stat(t.bin()); err != nil {
		if out, err := exec.Command("go", "test", "-c", "-cover", "-o", t.bin(), "./"+t.pkg).CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	reached, err := t.reaches("")
	if err != nil {
		return err
	}
	dir := filepath.Join(t.pkg, "testdata", "fuzz", t.name)
	files, size := 0, 0
	if old, err := os.ReadDir(dir); err == nil {
		files = len(old)
	}
	had := files
	for _, in := range inputs {
		if files == mostFiles || size+len(in.text) > mostBytes {
			break
		}
		path := filepath.Join(dir, in.name)
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, in.text, 0o644); err != nil {
			return err
		}
		blocks, err := t.reaches(in.name)
		if err != nil || !grows(reached, blocks) {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		files, size = files+1, size+len(in.text)
	}
	_ = os.Remove(dir) // when nothing is in it
	fmt.Printf("%s %s: %d of %d inputs kept\n", t.pkg, t.name, files-had, len(inputs))
	return nil
}

// private is what stays on this machine.
var private = regexp.MustCompile(`pic_[A-Za-z0-9_-]{8}|[A-Za-z0-9_-]{40}|/(root|home|tmp|work)/`)

// inputs are what was found, the smallest first.
func (t *target) inputs() (list []input, err error) {
	files, err := os.ReadDir(t.found)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(t.found, f.Name()))
		if err != nil {
			return nil, err
		}
		if !private.Match(text) {
			list = append(list, input{f.Name(), text})
		}
	}
	slices.SortFunc(list, func(a, b input) int {
		return cmp.Or(cmp.Compare(len(a.text), len(b.text)), cmp.Compare(a.name, b.name))
	})
	return list, nil
}

// reaches are the blocks of code that an input runs, that all seeds run when name is empty. An
// input that fails is an error: it belongs into testdata under a name that says why.
func (t *target) reaches(name string) (map[string]bool, error) {
	pattern := "^" + t.name + "$"
	if name != "" {
		pattern += "/^" + name + "$"
	}
	profile := filepath.Join(t.work, "profile")
	cmd := exec.Command(t.bin(), "-test.run", pattern, "-test.coverprofile", profile)
	cmd.Dir = t.pkg
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	b, err := os.ReadFile(profile)
	if err != nil {
		return nil, err
	}
	blocks := map[string]bool{}
	for line := range bytes.Lines(b) {
		if block, count, ok := strings.Cut(strings.TrimSpace(string(line)), " "); ok && !strings.HasSuffix(count, " 0") {
			blocks[block] = true
		}
	}
	return blocks, nil
}

// grows adds blocks to reached, and reports whether that is more.
func grows(reached, blocks map[string]bool) bool {
	before := len(reached)
	for b := range blocks {
		reached[b] = true
	}
	return len(reached) > before
}
