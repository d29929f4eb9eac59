package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// licences is the file with the licences of everything in the binaries.
const licences = "LICENSES.txt"

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)`)

// writeLicences gathers our licences, Go's and those of every module in the binaries. A
// module without one stops the release: it may not be passed on.
func (r *release) writeLicences() error {
	var out bytes.Buffer
	out.WriteString("PiCloud Edge is yours under the MIT or the Apache-2.0 licence, as you like. It contains the\nmodules below, under their own.\n")
	if err := appendLicences(&out, "PiCloud Edge", r.source); err != nil {
		return err
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	if err := appendLicences(&out, "the Go standard library", strings.TrimSpace(string(root))); err != nil {
		return err
	}
	dirs, err := r.moduleDirs()
	if err != nil {
		return err
	}
	for _, d := range r.info.Deps {
		dir := dirs[d.Path]
		if dir == "" {
			return fmt.Errorf("%s is in the binary but not in the module list: build again", d.Path)
		}
		if err := appendLicences(&out, d.Path+" "+d.Version, dir); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(r.dist, licences), out.Bytes(), 0o644)
}

func appendLicences(out *bytes.Buffer, name, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := false
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		found = true
		fmt.Fprintf(out, "\n================ %s: %s ================\n\n%s\n", name, e.Name(), bytes.TrimSpace(text))
	}
	if !found {
		return fmt.Errorf("%s has no licence", name)
	}
	return nil
}

// moduleDirs is where the sources of all modules are.
func (r *release) moduleDirs() (map[string]string, error) {
	paths := make([]string, len(r.info.Deps))
	for i, d := range r.info.Deps {
		paths[i] = d.Path
	}
	slices.Sort(paths)
	cmd := exec.Command("go", append([]string{"list", "-m", "-json"}, paths...)...)
	cmd.Dir, cmd.Stderr = r.source, os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	dirs := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var m struct{ Path, Dir string }
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return dirs, nil
		} else if err != nil {
			return nil, err
		}
		dirs[m.Path] = m.Dir
	}
}
