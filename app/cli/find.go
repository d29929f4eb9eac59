package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"picloud/app/cloud"
)

var errNothingToChange = errors.New("say what to change: see --help for the flags")

// find is the id of the item of a list whose field has the value.
func (r *remote) find(path, items, field, value, what string) (string, error) {
	return r.findAs(path, items, field, value, what, "id")
}

// findAs is find for a list whose ids have another name.
func (r *remote) findAs(path, items, field, value, what, id string) (string, error) {
	all, _, err := r.pages(path, nil, items, 0)
	if err != nil {
		return "", err
	}
	for _, o := range all {
		if strings.EqualFold(text(o, field), value) {
			return text(o, id), nil
		}
	}
	return "", cloud.Errorf(cloud.NotFound, "%s has no %s %q", r.base, what, value)
}

// showAll prints an object with all of its fields, by name.
func (r *remote) showAll(o object) error {
	return r.show(o, slices.Sorted(maps.Keys(o))...)
}

// assignments reads name=value arguments. A value that is JSON is taken as such (3, true,
// ["insert"]), anything else as a string; "name=" is the empty string.
func assignments(args []string) (object, error) {
	o := object{}
	for _, a := range args {
		name, value, ok := strings.Cut(a, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("%q: write name=value", a)}
		}
		if _, twice := o[name]; twice {
			return nil, usageError{fmt.Errorf("%s is given twice", name)}
		}
		o[name] = valueOf(value)
	}
	return o, nil
}

func valueOf(s string) any {
	var v any
	if err := decodeAnswer([]byte(s), &v); err != nil {
		return s
	}
	return v
}

// maxInput bounds what is read from a file or standard input, in bytes.
const maxInput = 16 << 20

// readArgument is what an argument holds: @FILE is the content of a file and - that of
// standard input.
func (r *remote) readArgument(arg string) ([]byte, error) {
	name, isFile := strings.CutPrefix(arg, "@")
	switch {
	case arg == "-":
		return readBounded(r.cmd.InOrStdin(), "standard input")
	case isFile:
		return r.readFile(name)
	}
	return []byte(arg), nil
}

// readFile reads a file, - for standard input.
func (r *remote) readFile(name string) ([]byte, error) {
	if name == "-" {
		return readBounded(r.cmd.InOrStdin(), "standard input")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, usageError{err}
	}
	defer f.Close()
	return readBounded(f, name)
}

func readBounded(from io.Reader, name string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(from, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(b) > maxInput {
		return nil, usageError{fmt.Errorf("%s has more than %s", name, size(maxInput))}
	}
	return b, nil
}

// jsonArgument is an argument that must be JSON.
func (r *remote) jsonArgument(arg, what string) (json.RawMessage, error) {
	b, err := r.readArgument(arg)
	if err != nil {
		return nil, err
	}
	if !json.Valid(b) {
		return nil, usageError{fmt.Errorf("the %s is not JSON: write a string as '\"text\"'", what)}
	}
	return b, nil
}
