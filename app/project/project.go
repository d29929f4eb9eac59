// Package project reads a project's directory: picloud.json, the functions that it names,
// bundled into one source each, and the tests beside them.
package project

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"picloud/app/cloud"
)

// FileName of a project's description, in its directory.
const FileName = "picloud.json"

// maxFile bounds picloud.json, in bytes.
const maxFile = 1 << 20

// Project is a directory with a picloud.json.
type Project struct {
	Dir       string // absolute
	App       string // slug
	Functions []*Function
}

// Function is one entry of picloud.json. What it says beyond its file is what the API takes
// for a script, its routes and its triggers: the instance knows what that is, and refuses
// what it doesn't know.
type Function struct {
	Name   string
	File   string // below the project's directory, with slashes
	Fields map[string]json.RawMessage
}

// text is a field that is a string, "" when it isn't.
func (f *Function) text(field string) (s string) {
	_ = json.Unmarshal(f.Fields[field], &s)
	return s
}

// reserved are fields that the project itself decides on.
var reserved = []string{"name", "source"}

// Open reads the project in dir.
func Open(dir string) (*Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the project: %w", err)
	}
	f, err := os.Open(filepath.Join(dir, FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cloud.Errorf(cloud.Invalid, "there is no %s in %s: make a project there with picloud init", FileName, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open the project: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", FileName, err)
	}
	p, err := Parse(raw)
	if err != nil {
		return nil, err
	}
	p.Dir = dir
	return p, p.findFiles()
}

// Parse reads picloud.json. Errors are Invalid and name the line.
func Parse(raw []byte) (*Project, error) {
	if len(raw) > maxFile {
		return nil, cloud.Errorf(cloud.Invalid, "%s: is longer than %d bytes", FileName, maxFile)
	}
	var in struct {
		Schema    string                                `json:"$schema"`
		App       string                                `json:"app"`
		Functions map[string]map[string]json.RawMessage `json:"functions"`
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, cloud.Errorf(cloud.Invalid, "%s:%d: %s", FileName, lineOf(raw, err), plain(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, cloud.Errorf(cloud.Invalid, "%s:%d: there is more after the object", FileName, lineAt(raw, d.InputOffset()))
	}
	if in.App == "" {
		return nil, cloud.Errorf(cloud.Invalid, `%s: name the app, such as "app": "shop"`, FileName)
	}
	p := &Project{App: in.App}
	for _, name := range slices.Sorted(maps.Keys(in.Functions)) {
		f, err := function(name, in.Functions[name])
		if err != nil {
			return nil, err
		}
		p.Functions = append(p.Functions, f)
	}
	return p, nil
}

func function(name string, fields map[string]json.RawMessage) (*Function, error) {
	f := &Function{Name: name, Fields: fields}
	switch {
	case name == "":
		return nil, cloud.Errorf(cloud.Invalid, "%s: a function has an empty name", FileName)
	case fields == nil:
		return nil, cloud.Errorf(cloud.Invalid, "%s: functions.%s: want an object", FileName, name)
	}
	for _, field := range reserved {
		if _, given := fields[field]; given {
			return nil, cloud.Errorf(cloud.Invalid, "%s: functions.%s.%s: leave it out: the key is the name, and the file the source", FileName, name, field)
		}
	}
	if raw, given := fields["file"]; given {
		delete(fields, "file")
		if json.Unmarshal(raw, &f.File) != nil || !filepath.IsLocal(filepath.FromSlash(f.File)) {
			return nil, cloud.Errorf(cloud.Invalid, "%s: functions.%s.file: want a path below the project's directory", FileName, name)
		}
	}
	return f, nil
}

// lineOf is the line at which decoding failed.
func lineOf(raw []byte, err error) int {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return lineAt(raw, syntax.Offset)
	case errors.As(err, &wrong):
		return lineAt(raw, wrong.Offset)
	}
	if _, name, ok := strings.Cut(err.Error(), "unknown field "); ok {
		return lineAt(raw, int64(bytes.Index(raw, []byte(name)))+1)
	}
	return lineAt(raw, int64(len(raw)))
}

func lineAt(raw []byte, offset int64) int {
	return 1 + bytes.Count(raw[:min(max(offset-1, 0), int64(len(raw)))], []byte("\n"))
}

// plain is a decoder's error without the words that mean something to Go alone.
func plain(err error) string {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return fmt.Sprintf("%s: a %s can't stand here", wrong.Field, wrong.Value)
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return "it ends early"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// extensions that a function's file may have, in the order in which they are looked for.
var extensions = []string{".ts", ".js", ".mts", ".mjs"}

// findFiles finds the files of functions that name none: functions/NAME.ts or .js.
func (p *Project) findFiles() error {
	for _, f := range p.Functions {
		candidates := []string{f.File}
		if f.File == "" {
			candidates = nil
			for _, ext := range extensions {
				candidates = append(candidates, "functions/"+f.Name+ext)
			}
		}
		i := slices.IndexFunc(candidates, func(name string) bool {
			info, err := os.Stat(filepath.Join(p.Dir, filepath.FromSlash(name)))
			return filepath.IsLocal(filepath.FromSlash(name)) && err == nil && info.Mode().IsRegular()
		})
		if i < 0 {
			return cloud.Errorf(cloud.Invalid, "%s: functions.%s: there is no file %s", FileName, f.Name, strings.Join(candidates, " or "))
		}
		f.File = candidates[i]
	}
	return nil
}

// Tests are the files named *.test.js or *.test.ts below the directory, with slashes.
func (p *Project) Tests() ([]string, error) {
	var found []string
	err := filepath.WalkDir(p.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != p.Dir && (name == "node_modules" || strings.HasPrefix(name, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if base, ok := strings.CutSuffix(strings.TrimSuffix(name, filepath.Ext(name)), ".test"); ok && base != "" && slices.Contains(extensions, filepath.Ext(name)) {
			rel, err := filepath.Rel(p.Dir, path)
			if err != nil {
				return err
			}
			found = append(found, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for tests: %w", err)
	}
	return found, nil
}
