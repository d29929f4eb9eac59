package cli

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"picloud/app/cloud"
)

func TestWriteTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	rows := []object{
		{"name": "a", "n": json.Number("12345678901234567890"), "inner": object{"is": true}},
		{"name": "b\x1b[31m\u202e\n", "n": nil},
	}
	if err := writeTable(&b, rows, columns("name", "n", "inner.is", "last_used_at")); err != nil {
		t.Fatal(err)
	}
	want := "NAME               N                     IS    LAST USED\n" +
		"a                  12345678901234567890  true\n" +
		"b\\x1b[31m\\u202e\\n\n"
	if got := trimEnds(b.String()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	b.Reset()
	if err := writeTable(&b, nil, columns("name")); err != nil || b.Len() > 0 {
		t.Errorf("no rows print %q, %v", b.String(), err)
	}
}

func trimEnds(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

func TestCell(t *testing.T) {
	t.Parallel()
	o := object{"long": strings.Repeat("ä", 300), "a.b": "dotted", "list": []any{"x"}}
	for field, want := range map[string]string{
		"long": strings.Repeat("ä", maxCell-1) + "…", "a.b": "dotted", "list": `["x"]`, "none": "", "list.x": "",
	} {
		if got := cell(o, field); got != want {
			t.Errorf("%s: got %q, want %q", field, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 3 << 40: "3.0 TiB", 5000 << 40: "5000.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestAssignments(t *testing.T) {
	t.Parallel()
	got, err := assignments([]string{"n=3", "list=[1]", "text=a=b", "empty=", "yes=true", "glob=notes*", `quoted="3"`})
	want := object{"n": json.Number("3"), "list": []any{json.Number("1")}, "text": "a=b", "empty": "", "yes": true, "glob": "notes*", "quoted": "3"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range [][]string{{"a"}, {"=1"}, {"a=1", "a=2"}} {
		if _, err := assignments(bad); !errors.As(err, new(usageError)) {
			t.Errorf("%q: got %v, want a usage error", bad, err)
		}
	}
}

func FuzzAssignments(f *testing.F) {
	f.Add("a=1")
	f.Add("a={\"b\":[1e400]}")
	f.Fuzz(func(t *testing.T, arg string) {
		o, err := assignments([]string{arg})
		if err != nil {
			return
		}
		if _, err := json.Marshal(o); err != nil {
			t.Errorf("%q can't be sent: %v", arg, err)
		}
	})
}

func TestPathInput(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]object{
		"/a":      {"path": "/a", "path_kind": "exact"},
		"/a/:id":  {"path": "/a/:id", "path_kind": "param"},
		"/a/*":    {"path": "/a", "path_kind": "prefix"},
		"/*":      {"path": "/", "path_kind": "prefix"},
		"/a:b":    {"path": "/a:b", "path_kind": "exact"},
		"/:x/b/*": {"path": "/:x/b", "path_kind": "prefix"},
	} {
		if got := pathInput(path); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want int
	}{
		{errors.New("x"), ExitFailed},
		{usageError{errors.New("x")}, ExitUsage},
		{unreached{errors.New("x")}, ExitUnreached},
		{cloud.Errorf(cloud.Invalid, "x"), ExitUsage},
		{cloud.Errorf(cloud.Forbidden, "x"), ExitDenied},
		{cloud.Errorf(cloud.NotFound, "x"), ExitNotFound},
		{cloud.Errorf(cloud.Conflict, "x"), ExitConflict},
		{cloud.Errorf(cloud.Overloaded, "x"), ExitUnreached},
		{cloud.Errorf(cloud.Internal, "x"), ExitFailed},
		{cloud.Errorf(cloud.ScriptError, "x"), ExitFailed},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%v: got %d, want %d", tt.err, got, tt.want)
		}
	}
}
