// Package portable takes one app's rows out of a database and puts them into another: it is
// behind export, import and the rewinding of one app. Which rows are an app's is read from
// the schema, so a new table takes part without being named here. DESIGN.md says why so.
package portable

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"picloud/db"
)

// instance are the tables that belong to the instance, each with the reason why its rows stay
// where they are. TestEveryTableIsKnown fails for a table that is neither here nor an app's.
var instance = map[string]string{
	"apps":         "the app itself: its row is written apart, with the slug that it gets",
	"users":        "people belong to the instance; a file knows their names only",
	"members":      "who may do what is decided where it counts; a file has the roles by username, for those who ask for them",
	"api_keys":     "secrets of their users",
	"sessions":     "secrets of their users",
	"settings":     "of the instance",
	"audit":        "what was done stays recorded",
	"former_slugs": "redirects that no longer hold elsewhere, or that another app has taken over",
}

// left are the rows of an app's tables that stay behind: they are of callers who wait now.
var left = map[string]string{"outbox": "reply_to IS NULL"}

// stay are the tables of apps that a rewind leaves as they are.
var stay = map[string]string{"secrets": "credentials of the outside world: one that was changed since is not valid any more"}

// fresh are columns that begin anew: claims are of one process's run.
var fresh = map[string][]string{"outbox": {"claimed_at", "claimed_by", "claim_token", "lease_until"}}

// table is one with rows of apps.
type table struct {
	name string
	cols []column // without a number that SQLite gives anew
	key  []string // what identifies a row, and puts the rows in order
	of   string   // selects an app's rows; has one parameter
	work bool     // rows that wait to run
}

type column struct {
	name     string
	kind     string // BLOB, TEXT, INTEGER or REAL
	nullable bool
	refers   string // the table that a foreign key names
	isID     bool   // holds an id or a reference to one
	pk       int
}

// ours leaves out what SQLite and litestream keep in the file for themselves.
const ours = `name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE '\_litestream\_%' ESCAPE '\'`

// tables lists the tables with rows of apps, parents before those that refer to them.
func tables(rx *db.Rx) ([]table, error) {
	names, err := texts(rx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND `+ours+` ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	all := map[string]*table{}
	for _, name := range names {
		if instance[name] != "" {
			continue
		}
		t, err := describe(rx, name)
		if err != nil {
			return nil, fmt.Errorf("read the schema of %s: %w", name, err)
		}
		all[name] = t
	}
	return inOrder(all)
}

// inOrder finds whose rows the tables have, and puts parents first. A table that is nobody's
// is an error: its rows would be lost without a word.
func inOrder(all map[string]*table) ([]table, error) {
	var sorted []table
	done := map[string]*table{}
	for len(done) < len(all) {
		before := len(done)
		for _, t := range byName(all) {
			if done[t.name] == nil && t.settle(all, done) {
				done[t.name] = t
				sorted = append(sorted, *t)
			}
		}
		if len(done) == before {
			return nil, errors.New("the schema has tables that are neither an app's nor the instance's: " + strings.Join(missing(all, done), ", "))
		}
	}
	return sorted, nil
}

func byName(all map[string]*table) []*table {
	var list []*table
	for _, t := range all {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *table) int { return cmp.Compare(a.name, b.name) })
	return list
}

func missing(all, done map[string]*table) (names []string) {
	for _, t := range byName(all) {
		if done[t.name] == nil {
			names = append(names, t.name)
		}
	}
	return names
}

// settle finds out which rows are an app's: those with its app_id, or those that refer to one
// of its rows. It waits until every table that t refers to is done.
func (t *table) settle(all, done map[string]*table) bool {
	for _, c := range t.cols {
		switch parent := all[c.refers]; {
		case parent == nil || parent == t:
		case done[c.refers] == nil:
			return false
		case t.of == "" && !c.nullable && len(parent.key) == 1:
			t.of = c.name + " IN (SELECT " + parent.key[0] + " FROM " + parent.name + " WHERE " + parent.of + ")"
		}
	}
	if slices.ContainsFunc(t.cols, func(c column) bool { return c.name == "app_id" }) {
		t.of = "app_id = ?"
	}
	if t.of != "" && left[t.name] != "" {
		t.of += " AND " + left[t.name]
	}
	return t.of != ""
}

// describe reads a table's columns and its key.
func describe(rx *db.Rx, name string) (*table, error) {
	t := &table{name: name, work: name == "outbox"}
	cols, err := columnsOf(rx, name)
	if err != nil {
		return nil, err
	}
	for i := 1; ; i++ {
		n := slices.IndexFunc(cols, func(c column) bool { return c.pk == i })
		if n < 0 {
			break
		}
		t.key = append(t.key, cols[n].name)
	}
	// The one INTEGER PRIMARY KEY that there is counts arrivals: rows get the next numbers, in
	// the order of the old ones.
	if len(t.key) == 1 {
		n := slices.IndexFunc(cols, func(c column) bool { return c.pk == 1 })
		if cols[n].kind == "INTEGER" {
			cols = slices.Delete(cols, n, n+1)
		}
	}
	t.cols = cols
	if len(t.key) == 0 {
		return nil, errors.New("it has no primary key")
	}
	return t, nil
}

func columnsOf(rx *db.Rx, name string) ([]column, error) {
	rows, err := rx.Query(`
		SELECT c.name, c.type, c."notnull" = 0 AND c.pk = 0, COALESCE(f."table", ''), c.pk
		FROM pragma_table_info(?) AS c LEFT JOIN pragma_foreign_key_list(?) AS f ON f."from" = c.name
		ORDER BY c.cid`, name, name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var cols []column
	for rows.Next() {
		var c column
		if err := rows.Scan(&c.name, &c.kind, &c.nullable, &c.refers, &c.pk); err != nil {
			return nil, err
		}
		c.isID = c.kind == "BLOB" && (c.name == "id" || strings.Contains(c.name+"_", "_id_"))
		cols = append(cols, c)
	}
	return cols, rows.Err()
}

// autonumbered reports that the key is not among the columns that are copied.
func (t *table) autonumbered() bool {
	return len(t.key) == 1 && !slices.ContainsFunc(t.cols, func(c column) bool { return c.name == t.key[0] })
}

func (t *table) names() string {
	names := make([]string, len(t.cols))
	for i, c := range t.cols {
		names[i] = c.name
	}
	return strings.Join(names, ", ")
}

// read is the query for an app's rows, in the order of their key.
func (t *table) read() string {
	return "SELECT " + t.names() + " FROM " + t.name + " WHERE " + t.of + " ORDER BY " + strings.Join(t.key, ", ")
}

func (t *table) insert() string {
	return "INSERT INTO " + t.name + " (" + t.names() + ") VALUES (?" + strings.Repeat(", ?", len(t.cols)-1) + ")"
}

func (t *table) index(name string) int {
	return slices.IndexFunc(t.cols, func(c column) bool { return c.name == name })
}

func texts(rx *db.Rx, query string, args ...any) (list []string, err error) {
	rows, err := rx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}
