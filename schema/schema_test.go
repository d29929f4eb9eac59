package schema_test

import (
	"context"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"picloud/db"
	"picloud/db/dbtest"
)

var update = flag.Bool("update", false, "write the golden files")

// The golden files show the sum of the migrations. They change with a migration that was
// added, and with nothing else: see them in the diff.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*db.DB{"schema.sql": dbtest.Open(t), "logs.sql": dbtest.OpenLogs(t)} {
		got := dump(t, d)
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s isn't the sum of the migrations: run go test ./schema -update and look at the difference", name)
		}
	}
}

// dump is the statements that make the tables and then, by table, the indexes.
func dump(t *testing.T, d *db.DB) string {
	t.Helper()
	var out strings.Builder
	out.WriteString("-- The sum of the migrations, written by: go test ./schema -update\n")
	each(t, d, `SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL
		ORDER BY type <> 'table', tbl_name, name`, func(sql string) {
		if strings.HasPrefix(sql, "CREATE TABLE") {
			out.WriteByte('\n')
		}
		out.WriteString(sql + ";\n")
	})
	return out.String()
}

func each(t *testing.T, d *db.DB, query string, f func(string)) {
	t.Helper()
	err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query(query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			f(text)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTablesAreStrict(t *testing.T) {
	t.Parallel()
	for _, d := range []*db.DB{dbtest.Open(t), dbtest.OpenLogs(t)} {
		each(t, d, `SELECT name FROM pragma_table_list
			WHERE schema = 'main' AND NOT strict AND name NOT LIKE 'sqlite_%'`, func(table string) {
			t.Errorf("table %s isn't STRICT", table)
		})
	}
}

// Without an index, deleting a parent reads all of the table that refers to it.
func TestReferencesAreIndexed(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	each(t, d, `SELECT t.name || '.' || f."from"
		FROM pragma_table_list t, pragma_foreign_key_list(t.name) f
		WHERE t.schema = 'main' AND NOT EXISTS (
			SELECT 1 FROM pragma_index_list(t.name) i, pragma_index_info(i.name) c
			LEFT JOIN sqlite_schema s ON s.name = i.name
			WHERE c.seqno = 0 AND c.name = f."from"
			  AND (i.partial = 0 OR s.sql LIKE '% WHERE ' || f."from" || ' IS NOT NULL'))`, func(column string) {
		t.Errorf("no index begins with %s, which refers to another table", column)
	})
}

// What runs all the time finds its rows by an index, at any number of rows.
func TestHotQueriesUseIndexes(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	sorts := regexp.MustCompile(`SCAN \w+$|USE TEMP B-TREE`)
	for name, query := range map[string]string{
		"claim":         "SELECT n FROM outbox WHERE claimed_at IS NULL AND blocked = 0 AND app_id = x'' AND lane = '' AND next_attempt_at <= 1 ORDER BY next_attempt_at, n LIMIT 8",
		"earliest due":  "SELECT next_attempt_at FROM outbox WHERE claimed_at IS NULL AND blocked = 0 AND app_id = x'' AND lane = '' ORDER BY next_attempt_at, n LIMIT 1",
		"next of a key": "SELECT n FROM outbox WHERE app_id = x'' AND lane = '' AND ordering_key = '' ORDER BY n LIMIT 1",
		"match":         "SELECT id FROM triggers WHERE app_id = x'' AND kind = 'kv' AND enabled = 1",
		"kv get":        "SELECT value FROM kv_entries WHERE app_id = x'' AND collection = '' AND key = ''",
		"kv list":       "SELECT key FROM kv_entries WHERE app_id = x'' AND collection = '' AND key > '' ORDER BY key LIMIT 100",
		"expired":       "SELECT key FROM kv_entries WHERE expires_at <= 1 ORDER BY expires_at LIMIT 100",
		"open letters":  "SELECT count(*) FROM dead_letters WHERE app_id = x'' AND resolved_at IS NULL",
		"session":       "SELECT user_id FROM sessions WHERE token_hash = x''",
		"api key":       "SELECT user_id FROM api_keys WHERE prefix = ''",
		"old letters":   "SELECT id FROM dead_letters WHERE created_at < 1 ORDER BY created_at LIMIT 100",
		"old abandoned": "SELECT id FROM abandoned_executions WHERE created_at < 1 ORDER BY created_at LIMIT 100",
	} {
		err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
			rows, err := rx.Query("EXPLAIN QUERY PLAN " + query)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id, parent, unused int
				var step string
				if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
					return err
				}
				if sorts.MatchString(step) {
					t.Errorf("%s: %s", name, step)
				}
			}
			return rows.Err()
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
