package portable

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
)

// filler makes up rows for every table that an app can have rows in, by the schema alone: a
// table that is added later gets rows without a change here, as far as its checks allow.
type filler struct {
	tx      *db.Tx
	rand    *rand.Rand
	app     cloud.AppID
	users   []cloud.UserID
	keys    map[string][]any // of the rows made, by table
	allowed map[string][]any // values that the table at hand allows, by column
	n       int
}

// texted are values for columns that must be JSON, or of a meaning that is checked.
var texted = map[string][]any{
	"limits": {"{}", `{"writes":5}`}, "ops": {"[]", `["insert"]`}, "attempts": {"[]"}, "payload": {`{"a":1}`}, "value": {`"text"`, "3.5"},
	"triggers.kind": {"kv"}, "reply_to": {nil}, "claim_token": {nil}, "claimed_by": {nil}, "claimed_at": {nil}, "lease_until": {nil},
}

var oneOf = regexp.MustCompile(`CHECK \((\w+) IN \(([^)]*)\)\)`)

// checks are the values that a table's own checks allow, by column.
func checks(t *testing.T, rx *db.Rx, name string) map[string][]any {
	t.Helper()
	sql, err := texts(rx, "SELECT sql FROM sqlite_schema WHERE name = ?", name)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]any{}
	for _, found := range oneOf.FindAllStringSubmatch(sql[0], -1) {
		for v := range strings.SplitSeq(found[2], ",") {
			v = strings.TrimSpace(v)
			if n, err := strconv.ParseInt(v, 10, 64); err == nil {
				all[found[1]] = append(all[found[1]], n)
			} else {
				all[found[1]] = append(all[found[1]], strings.Trim(v, "'"))
			}
		}
	}
	return all
}

func (f *filler) fill(t *testing.T, all []table, most int) {
	t.Helper()
	for _, tt := range all {
		f.allowed = checks(t, f.tx.Rx, tt.name)
		rows := 1 + f.rand.IntN(most)
		details := ofParent(&tt)
		if details != "" {
			rows = len(f.keys[details])
		}
		made := map[string]bool{} // keys: one that is all references may come up again
		for n := range rows {
			r := f.row(&tt)
			if details != "" {
				r[tt.index(tt.key[0])] = f.keys[details][n]
			}
			key := ""
			for _, c := range tt.key {
				if at := tt.index(c); at >= 0 {
					key += fmt.Sprint(r[at])
				} else {
					key += fmt.Sprint(n)
				}
			}
			if made[key] {
				continue
			}
			made[key] = true
			if err := tt.put(f.tx, r); err != nil {
				t.Fatalf("%s: %v: %v", tt.name, r, err)
			}
			if at := tt.index(tt.key[0]); at >= 0 && len(tt.key) == 1 {
				f.keys[tt.name] = append(f.keys[tt.name], r[at])
			}
		}
	}
}

// ofParent is the table whose key a table of details has, "" for others.
func ofParent(t *table) string {
	if at := t.index(t.key[0]); len(t.key) == 1 && at >= 0 {
		return t.cols[at].refers
	}
	return ""
}

func (f *filler) row(t *table) row {
	r := make(row, len(t.cols))
	for i, c := range t.cols {
		r[i] = f.value(t, c)
	}
	return r
}

func (f *filler) value(t *table, c column) any {
	f.n++
	choices := slices.Concat(texted[t.name+"."+c.name], texted[c.name], f.allowed[c.name])
	switch {
	case c.name == "app_id":
		return f.app[:]
	case c.refers != "" && len(f.keys[c.refers]) > 0:
		made := f.keys[c.refers]
		return made[f.rand.IntN(len(made))]
	case c.name == "registered_by_principal", c.name == "saved_by":
		u := f.users[f.rand.IntN(len(f.users))]
		return u[:]
	case len(choices) > 0:
		return choices[f.rand.IntN(len(choices))]
	case c.nullable && f.rand.IntN(2) == 0:
		return nil
	}
	return f.plain(c)
}

func (f *filler) plain(c column) any {
	switch {
	case c.kind == "INTEGER" && c.pk > 0:
		return int64(f.n)
	case c.kind == "INTEGER":
		return int64(1)
	case c.kind == "REAL":
		return float64(f.n) / 4
	case c.kind == "TEXT":
		return fmt.Sprintf("t%d-%s", f.n, strings.Repeat("é", f.rand.IntN(3)))
	}
	made := cloud.NewID[cloud.AppID]()
	return made[:]
}

// newApp makes an app with rows in every table, and two users.
func newApp(t *testing.T, d *db.DB, slug string, seed uint64, most int) (app cloud.AppID, users []cloud.UserID) {
	t.Helper()
	all := allTables(t, d)
	err := d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		app, users = cloud.NewID[cloud.AppID](), nil
		if _, err := tx.Exec("INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (?, ?, ?, 1, 2)", app, slug, "App "+slug); err != nil {
			return err
		}
		for n := range 2 {
			u := cloud.NewID[cloud.UserID]()
			users = append(users, u)
			_, err := tx.Exec("INSERT INTO users (id, username, password_hash, instance_role, created_at, updated_at) VALUES (?, ?, 'secret hash', 'owner', 1, 1)", u, fmt.Sprintf("%s%d", slug, n))
			if err != nil {
				return err
			}
		}
		f := &filler{tx: tx, rand: rand.New(rand.NewPCG(seed, 1)), app: app, users: users, keys: map[string][]any{}, n: int(seed) * 1000}
		f.fill(t, all, most)
		return (member{users[0], "editor", 1}).put(tx, app)
	})
	if err != nil {
		t.Fatal(err)
	}
	return app, users
}
