package project

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"picloud/app/cloud"
)

// Schema is the JSON Schema of picloud.json, for editors.
//
//go:embed picloud.schema.json
var Schema []byte

// TestTypes describes what tests can use.
//
//go:embed picloud.test.d.ts
var TestTypes []byte

//go:embed starter
var starter embed.FS

// Starter is what a new project is made of.
type Starter struct {
	App      string // slug
	Types    string // picloud.d.ts
	URL, Key string // for .env.local; may be empty
}

// Init makes a project in dir and names the files that it wrote. It refuses a directory that
// has a picloud.json, and leaves alone every other file that is there.
func Init(dir string, s Starter) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, FileName)); err == nil {
		return nil, cloud.Errorf(cloud.Conflict, "%s has a %s already", dir, FileName)
	}
	var written []string
	write := func(name string, content []byte, mode fs.FileMode) error {
		ok, err := writeNew(filepath.Join(dir, filepath.FromSlash(name)), content, mode)
		if ok {
			written = append(written, name)
		}
		return err
	}
	err := fs.WalkDir(starter, "starter", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := starter.ReadFile(path)
		if err != nil {
			return err
		}
		name := strings.Replace(strings.TrimPrefix(path, "starter/"), "gitignore", ".gitignore", 1)
		return write(name, []byte(strings.ReplaceAll(string(content), "APP_SLUG", s.App)), 0o644)
	})
	return written, errors.Join(err,
		write("picloud.schema.json", Schema, 0o644),
		write("picloud.d.ts", []byte(s.Types), 0o644),
		write("picloud.test.d.ts", TestTypes, 0o644),
		write(".env.local", s.env(), 0o600),
	)
}

// env is .env.local: it is not for version control.
func (s *Starter) env() []byte {
	return []byte("# Where picloud deploy goes. Without a key, the one of picloud login is used.\n" +
		"PICLOUD_URL=" + s.URL + "\nPICLOUD_KEY=" + s.Key + "\n")
}

// writeNew makes a file with its directories; one that is there is left alone.
func writeNew(path string, content []byte, mode fs.FileMode) (bool, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, fmt.Errorf("make the project: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("make the project: %w", err)
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return false, fmt.Errorf("make the project: %w", err)
	}
	return true, nil
}
