package portable

import (
	"encoding/json"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// jsons are the columns that others read as JSON. A file may have been made by hand; what its
// tables can't refuse is refused here.
var jsons = map[string]bool{
	"scripts.limits": true, "kv_entries.value": true, "kv_trigger_details.ops": true,
	"outbox.attempts": true, "outbox.payload": true, "dead_letters.attempts": true, "dead_letters.payload": true,
}

func check(t *table, r row) error {
	for i, c := range t.cols {
		s, ok := r[i].(string)
		if ok && jsons[t.name+"."+c.name] && !json.Valid([]byte(s)) {
			return cloud.Errorf(cloud.Invalid, "the file is not whole: %s.%s of a row is not JSON", t.name, c.name)
		}
		if v, isBytes := r[i].([]byte); isBytes && c.isID && len(v) != len(cloud.AppID{}) {
			return cloud.Errorf(cloud.Invalid, "the file is not whole: %s.%s of a row is not an id", t.name, c.name)
		}
	}
	return nil
}

// checkTriggers makes sure that each trigger is of a kind that this program knows, and has
// the details of its kind: each kind keeps them in a table of its own.
func checkTriggers(rx *db.Rx, app cloud.AppID) error {
	kinds, err := texts(rx, "SELECT DISTINCT kind FROM triggers WHERE app_id = ?", app)
	if err != nil {
		return fmt.Errorf("read triggers: %w", err)
	}
	known, err := texts(rx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%\_trigger\_details' ESCAPE '\'`)
	if err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	for _, kind := range kinds {
		details := ""
		for _, name := range known {
			if name == kind+"_trigger_details" {
				details = name
			}
		}
		if details == "" {
			return cloud.Errorf(cloud.Invalid, "the file has a trigger of a kind that is unknown here")
		}
		var bare int
		err := rx.QueryRow("SELECT count(*) FROM triggers WHERE app_id = ? AND kind = ? AND id NOT IN (SELECT trigger_id FROM "+details+")", app, kind).Scan(&bare)
		if err != nil {
			return fmt.Errorf("read triggers: %w", err)
		}
		if bare > 0 {
			return cloud.Errorf(cloud.Invalid, "the file is not whole: a %s trigger has no details", kind)
		}
	}
	return nil
}
