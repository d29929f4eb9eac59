package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"picloud/db"
	"picloud/schema"
)

// invariant is a query that finds nothing in a sound picloud.db.
type invariant struct{ promise, query string }

// always hold at whatever moment the process was killed.
var always = []invariant{
	{"all or nothing: what one execution writes is there together", `SELECT a.key || ' is in a, not in b' FROM kv_entries a WHERE a.collection = 'a'
		AND NOT EXISTS (SELECT 1 FROM kv_entries b WHERE b.app_id = a.app_id AND b.collection = 'b' AND b.key = a.key)`},
	{"all or nothing: what one execution writes is there together", `SELECT b.key || ' is in b, not in a' FROM kv_entries b WHERE b.collection = 'b'
		AND NOT EXISTS (SELECT 1 FROM kv_entries a WHERE a.app_id = b.app_id AND a.collection = 'a' AND a.key = b.key)`},
	{"an execution that failed leaves no trace", `SELECT collection || ' holds ' || key FROM kv_entries WHERE collection IN ('leak', 'half', 'disorder')`},
	{"no update is lost", `SELECT n.value || ' counted, ' || (SELECT count(*) FROM kv_entries c WHERE c.app_id = n.app_id AND c.collection = 'counted') || ' executions'
		FROM kv_entries n WHERE n.collection = 'count' AND n.value <> (SELECT count(*) FROM kv_entries c WHERE c.app_id = n.app_id AND c.collection = 'counted')`},
	{"an event is a row or one open letter", `SELECT 'event ' || hex(original_event_id) FROM dead_letters WHERE resolved_at IS NULL GROUP BY original_event_id HAVING count(*) > 1
		UNION ALL SELECT 'row and letter ' || hex(o.id) FROM outbox o JOIN dead_letters d ON d.original_event_id = o.id WHERE d.resolved_at IS NULL`},
	{"a dead letter has the history of all attempts", `SELECT hex(id) FROM dead_letters WHERE json_array_length(attempts) <> attempt_count`},
	{"a claim is whole", `SELECT hex(id) FROM outbox WHERE (claimed_at IS NULL) + (claimed_by IS NULL) + (claim_token IS NULL) + (lease_until IS NULL) NOT IN (0, 4)`},
	{"a row waits for an earlier one only while that is there", `SELECT hex(id) FROM outbox o WHERE blocked = 1
		AND NOT EXISTS (SELECT 1 FROM outbox e WHERE e.app_id = o.app_id AND e.lane = o.lane AND e.ordering_key = o.ordering_key AND e.n < o.n)`},
	{"a key's first row is not kept back", `SELECT hex(id) FROM outbox o WHERE blocked = 0 AND ordering_key IS NOT NULL
		AND EXISTS (SELECT 1 FROM outbox e WHERE e.app_id = o.app_id AND e.lane = o.lane AND e.ordering_key = o.ordering_key AND e.n < o.n)`},
	{"a script is its newest version", `SELECT name FROM scripts s WHERE NOT EXISTS
		(SELECT 1 FROM script_versions v WHERE v.script_id = s.id AND v.version = s.version AND v.source = s.source AND v.engine = s.engine)
		OR s.version <> (SELECT max(version) FROM script_versions v WHERE v.script_id = s.id)`},
	{"versions have no gaps", `SELECT hex(script_id) FROM script_versions GROUP BY script_id HAVING max(version) - min(version) + 1 <> count(*)`},
	{"a route and its script are of one app", `SELECT hex(r.id) FROM routes r JOIN scripts s ON s.id = r.script_id WHERE s.app_id <> r.app_id`},
	{"a trigger and its script are of one app", `SELECT hex(t.id) FROM triggers t JOIN scripts s ON s.id = t.script_id WHERE s.app_id <> t.app_id`},
	{"a trigger has the details of its kind", `SELECT kind || ' ' || hex(id) FROM triggers t WHERE 1 <> (
		SELECT count(*) FROM (
			SELECT trigger_id, 'kv' AS kind FROM kv_trigger_details UNION ALL SELECT trigger_id, 'dead_letter' FROM dead_letter_trigger_details
			UNION ALL SELECT trigger_id, 'cron' FROM cron_trigger_details UNION ALL SELECT trigger_id, 'pubsub' FROM pubsub_trigger_details
			UNION ALL SELECT trigger_id, 'queue' FROM queue_trigger_details) d WHERE d.trigger_id = t.id AND d.kind = t.kind)`},
	{"deployments have no gaps", `SELECT hex(app_id) FROM deployments GROUP BY app_id HAVING max(number) - min(number) + 1 <> count(*)`},
	{"a deployment has its sources", `SELECT hex(d.app_id) || ' ' || number FROM deployments d, json_each(d.state) f
		WHERE NOT EXISTS (SELECT 1 FROM deployed_sources s WHERE s.app_id = d.app_id AND s.hash = f.value ->> 'source')`},
	{"a deployment's source goes with the last deployment that has it", `SELECT hash FROM deployed_sources s WHERE NOT EXISTS
		(SELECT 1 FROM deployments d, json_each(d.state) f WHERE d.app_id = s.app_id AND f.value ->> 'source' = s.hash)`},
	{"the functions of a deployment change together", `SELECT group_concat(name || ' ' || substr(source, 1, 40), '; ') FROM scripts WHERE app_id = (SELECT id FROM apps WHERE slug = '` + releaseApp + `')
		HAVING count(DISTINCT substr(source, 1, instr(source, '*/'))) > 1`},
}

// atRest hold when nothing is under way.
var atRest = []invariant{
	{"no row is stuck", `SELECT source || ' ' || op || ' of ' || slug || ', attempts: ' || attempts FROM outbox o JOIN apps a ON a.id = o.app_id WHERE slug LIKE 'round-%'`},
	{"no letter is left", `SELECT hex(d.id) FROM dead_letters d JOIN apps a ON a.id = d.app_id WHERE resolved_at IS NULL AND slug LIKE 'round-%'`},
}

// lookIntoFiles checks what a kill left. It reads a copy, so that the next start finds the files
// exactly as they were.
func (t *torture) lookIntoFiles(ctx context.Context, invariants []invariant) error {
	dir, err := os.MkdirTemp(t.o.Dir, "look-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, f := range []struct {
		name       string
		schema     fs.FS
		invariants []invariant
	}{{"picloud.db", schema.State, invariants}, {"logs.db", schema.Logs, nil}} {
		for _, suffix := range []string{"", "-wal"} {
			if err := copyFile(filepath.Join(t.dataDir(), f.name+suffix), filepath.Join(dir, f.name+suffix)); err != nil {
				return err
			}
		}
		if err := inspect(ctx, filepath.Join(dir, f.name), f.schema, f.invariants); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file that may be missing.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// inspect opens a copy as a start would, reads all of it, and asks for what must not be.
func inspect(ctx context.Context, path string, migrations fs.FS, invariants []invariant) (err error) {
	d, err := db.Open(ctx, path, db.Options{Schema: migrations, Durability: db.Relaxed, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return found(ctx, "the file opens after a kill", err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.IntegrityCheck(ctx); err != nil {
		return found(ctx, "integrity_check and foreign_key_check find nothing after a kill", err)
	}
	return d.View(ctx, func(_ context.Context, rx *db.Rx) error {
		for _, i := range invariants {
			if err := i.hold(rx); err != nil {
				return err
			}
		}
		return nil
	})
}

// found is the Violation that err shows, or err itself when somebody stops the torture.
func found(ctx context.Context, promise string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return &Violation{Promise: promise, Found: err.Error()}
}

// hold runs the query.
func (i invariant) hold(rx *db.Rx) error {
	rows, err := rx.Query(i.query)
	if err != nil {
		return fmt.Errorf("check that %s: %w", i.promise, err)
	}
	defer rows.Close()
	var found []string
	for rows.Next() && len(found) < 5 {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		found = append(found, text)
	}
	if len(found) > 0 {
		return &Violation{Promise: i.promise, Found: "in picloud.db after the kill: " + strings.Join(found, "; ")}
	}
	return rows.Err()
}

var known = regexp.MustCompile(`^((picloud|logs)\.db(-wal|-shm|-journal)?|picloud\.lock|master\.key)$`)

// leftovers looks for files that a killed process left and no start removed.
func (t *torture) leftovers() error {
	files, err := os.ReadDir(t.dataDir())
	if err != nil {
		return err
	}
	for _, f := range files {
		if !known.MatchString(f.Name()) {
			return &Violation{Promise: "a start tidies up after a kill", Found: f.Name() + " is left in the data directory"}
		}
	}
	return nil
}
