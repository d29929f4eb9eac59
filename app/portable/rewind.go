package portable

import (
	"fmt"
	"slices"
	"strings"

	"picloud/app/cloud"
	"picloud/db"
)

// Rewind puts the rows that an app has in a file in the place of those that it has now. Its
// slug, name, quotas, members and secrets stay. It is one part of a transaction, like Import. A script
// that was saved since gets its old source as a new version, as a rollback does: no version
// number ever means two sources.
func Rewind(tx *db.Tx, f *File, app cloud.AppID, skipTaken bool) (*Imported, error) {
	all, err := tables(f.snap.Rx)
	if err != nil {
		return nil, err
	}
	later, err := versions(tx.Rx, app)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(t table) bool { return stay[t.name] != "" })
	for i := len(all) - 1; i >= 0; i-- {
		if _, err := tx.Exec("DELETE FROM "+all[i].name+" WHERE "+all[i].of, app); err != nil {
			return nil, fmt.Errorf("clear %s: %w", all[i].name, err)
		}
	}
	in := &insertion{tx: tx, app: app, skip: skipTaken, done: &Imported{App: app, Rows: map[string]int{}, Skipped: []string{}}}
	for _, t := range all {
		if err := t.each(f.snap.Rx, app, func(r row) error { return in.put(&t, r) }); err != nil {
			return nil, err
		}
		if t.name == "script_versions" {
			if err := renumber(tx, &t, app, later); err != nil {
				return nil, err
			}
		}
	}
	return in.done, checkTriggers(tx.Rx, app)
}

// versions are those that an app's scripts have now.
func versions(rx *db.Rx, app cloud.AppID) (map[cloud.ScriptID]int, error) {
	rows, err := rx.Query("SELECT id, version FROM scripts WHERE app_id = ?", app)
	if err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	defer rows.Close()
	all := map[cloud.ScriptID]int{}
	for rows.Next() {
		var s cloud.ScriptID
		var n int
		if err := rows.Scan(&s, &n); err != nil {
			return nil, fmt.Errorf("read versions: %w", err)
		}
		all[s] = n
	}
	return all, rows.Err()
}

// renumber saves what scripts have again, with a version after the latest.
func renumber(tx *db.Tx, t *table, app cloud.AppID, later map[cloud.ScriptID]int) error {
	then, err := versions(tx.Rx, app)
	if err != nil {
		return err
	}
	copied := make([]string, len(t.cols))
	for i, c := range t.cols {
		if copied[i] = c.name; c.name == "version" {
			copied[i] = "?1"
		}
	}
	for script, n := range then {
		if later[script] <= n {
			continue
		}
		_, err := tx.Exec("INSERT INTO script_versions ("+t.names()+") SELECT "+strings.Join(copied, ", ")+" FROM script_versions WHERE script_id = ?2 AND version = ?3", later[script]+1, script, n)
		if err == nil {
			_, err = tx.Exec("UPDATE scripts SET version = ?, updated_at = ? WHERE id = ?", later[script]+1, cloud.TimeOf(tx.Now), script)
		}
		if err != nil {
			return fmt.Errorf("save a script again: %w", err)
		}
	}
	return nil
}
