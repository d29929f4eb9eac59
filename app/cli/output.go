package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// object is one JSON object of an answer; its numbers stay as they were written.
type object = map[string]any

// column is one column of a table: its heading, and the field that it shows, with dots for
// fields within fields.
type column struct{ head, field string }

// columns makes a table's columns of fields; a heading is its field in capitals.
func columns(fields ...string) []column {
	cols := make([]column, len(fields))
	for i, f := range fields {
		head := f[strings.LastIndexByte(f, '.')+1:]
		cols[i] = column{strings.ToUpper(strings.ReplaceAll(strings.TrimSuffix(head, "_at"), "_", " ")), f}
	}
	return cols
}

// fieldsAfter are the names of o's fields: the given ones that it has, then all others but
// app_id, by name.
func fieldsAfter(o object, first []string) []string {
	var names []string
	for _, f := range first {
		if _, has := o[f]; has {
			names = append(names, f)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(o)) {
		if f != "app_id" && !slices.Contains(names, f) {
			names = append(names, f)
		}
	}
	return names
}

// writeTable writes rows for people. Nothing is written for no rows, so that scripts can count lines.
func writeTable(w io.Writer, rows []object, cols []column) error {
	if len(rows) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	line := make([]string, len(cols))
	for i, c := range cols {
		line[i] = c.head
	}
	fmt.Fprintln(t, strings.Join(line, "\t"))
	for _, row := range rows {
		for i, c := range cols {
			line[i] = cell(row, c.field)
		}
		fmt.Fprintln(t, strings.Join(line, "\t"))
	}
	return t.Flush()
}

// writeFields writes the fields of one object, a line for each that it has.
func writeFields(w io.Writer, o object, fields ...string) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, f := range fields {
		if text := cell(o, f); text != "" {
			fmt.Fprintf(t, "%s:\t%s\n", f, text)
		}
	}
	return t.Flush()
}

// writeJSON writes v as JSON that both people and programs can read.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// writeLine writes v as JSON on one line.
func writeLine(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// maxCell bounds a cell of a table, in characters.
const maxCell = 120

func cell(o object, field string) string {
	text := oneLine(textOf(fieldOf(o, field), strings.HasSuffix(field, "_at")))
	if r := []rune(text); len(r) > maxCell {
		return string(r[:maxCell-1]) + "…"
	}
	return text
}

// fieldOf is the field at a path; one whose own name has dots is found too.
func fieldOf(o object, path string) any {
	if v, ok := o[path]; ok {
		return v
	}
	name, rest, more := strings.Cut(path, ".")
	if inner, ok := o[name].(object); ok && more {
		return fieldOf(inner, rest)
	}
	return nil
}

// textOf is a value as people read it; a time is in the local zone.
func textOf(v any, isTime bool) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		if at, err := time.Parse(time.RFC3339, v); isTime && err == nil {
			return at.Local().Format(time.DateTime)
		}
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// oneLine keeps what scripts and their callers wrote from steering the terminal: control
// characters and those that turn the direction of text are shown escaped.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, steers) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if steers(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func steers(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// lines is text whose lines stay apart, each of them as oneLine has it.
func lines(s string) string {
	parts := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, p := range parts {
		parts[i] = oneLine(strings.ReplaceAll(p, "\t", "    "))
	}
	return strings.Join(parts, "\n")
}

// decodeAnswer reads JSON and keeps numbers as they are: a value may hold more digits than a float64.
func decodeAnswer(b []byte, out any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(out); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one value")
	}
	return nil
}

// size is a number of bytes for people.
func size(n int64) string {
	if n < 1<<10 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n), 0
	for f >= 1<<10 && unit < 4 {
		f, unit = f/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, " KMGT"[unit])
}
