package portable

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"picloud/app/cloud"
	"picloud/db"
)

// TableChange is what putting a file's rows in place of an app's does to one table.
type TableChange struct {
	Table   string   `json:"table"`
	Now     int      `json:"now"`     // rows
	Then    int      `json:"then"`    // rows in the file
	Added   int      `json:"added"`   // rows that come back
	Changed int      `json:"changed"` // rows that become what they were
	Removed int      `json:"removed"` // rows that came since
	Names   []string `json:"names"`   // "+ hello", "~ hello", "- hello": the first 200 of those that have names
}

// maxNames bounds TableChange.Names.
const maxNames = 200

// Plan says what Rewind would do to an app: the tables that change. now is a snapshot.
func Plan(now *db.Rx, f *File, app cloud.AppID) ([]TableChange, error) {
	all, err := tables(now)
	if err != nil {
		return nil, err
	}
	plan := []TableChange{}
	for _, t := range all {
		if stay[t.name] != "" {
			continue
		}
		c, err := t.compare(now, f.snap.Rx, app)
		if err != nil {
			return nil, err
		}
		if c.Added+c.Changed+c.Removed > 0 {
			plan = append(plan, *c)
		}
	}
	return plan, nil
}

// compare walks through both sides in the order of their keys.
func (t *table) compare(now, then *db.Rx, app cloud.AppID) (*TableChange, error) {
	c := &TableChange{Table: t.name, Names: []string{}}
	ordered := *t
	if t.autonumbered() { // the numbers differ, the ids don't
		ordered.key = []string{"id"}
	}
	a, b := ordered.walk(now, app), ordered.walk(then, app)
	defer a.close()
	defer b.close()
	a.next()
	b.next()
	for a.row != nil || b.row != nil {
		switch n := ordered.order(a.row, b.row); {
		case n < 0:
			c.Removed++
			c.name("-", t.label(a.row))
			c.Now++
			a.next()
		case n > 0:
			c.Added++
			c.name("+", t.label(b.row))
			c.Then++
			b.next()
		default:
			if !slices.EqualFunc(a.row, b.row, equal) {
				c.Changed++
				c.name("~", t.label(b.row))
			}
			c.Now++
			c.Then++
			a.next()
			b.next()
		}
	}
	return c, cmp.Or(a.err, b.err)
}

func (c *TableChange) name(sign, label string) {
	if label != "" && len(c.Names) < maxNames {
		c.Names = append(c.Names, sign+" "+label)
	}
}

// label is what people call a row: by its name, its path, or the texts in its key.
func (t *table) label(r row) string {
	text := func(column string) string {
		if n := t.index(column); n >= 0 {
			s, _ := r[n].(string)
			return s
		}
		return ""
	}
	switch t.name {
	case "routes":
		return strings.TrimSpace(cmp.Or(text("method"), "ANY") + " " + text("host") + text("path"))
	case "domains":
		return text("host")
	case "triggers":
		return text("kind")
	}
	if s := text("name"); s != "" {
		return s
	}
	var parts []string
	for _, k := range t.key {
		if s := text(k); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "/")
}

// order compares the keys of two rows; a missing row is after all.
func (t *table) order(a, b row) int {
	switch {
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	for _, k := range t.key {
		n := t.index(k)
		if c := compareValues(a[n], b[n]); c != 0 {
			return c
		}
	}
	return 0
}

func equal(a, b any) bool { return compareValues(a, b) == 0 }

// compareValues has the order of SQLite: null, numbers, texts, blobs.
func compareValues(a, b any) int {
	if r := cmp.Compare(rank(a), rank(b)); r != 0 {
		return r
	}
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case float64:
		return cmp.Compare(a, b.(float64))
	case string:
		return cmp.Compare(a, b.(string))
	case []byte:
		return bytes.Compare(a, b.([]byte))
	}
	return 0
}

func rank(v any) int {
	switch v.(type) {
	case nil:
		return 0
	case int64:
		return 1
	case float64:
		return 2
	case string:
		return 3
	}
	return 4
}
