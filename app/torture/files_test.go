package torture

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"picloud/db"
	"picloud/schema"
)

// someApp is a file with an app, a script with a trigger, and an execution's keys.
const someApp = `
INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (x'01', 'round-1', 'n', 0, 0);
INSERT INTO scripts (id, app_id, name, engine, isolation, timeout_seconds, version, created_at, updated_at, source) VALUES (x'02', x'01', 's', 'quickjs', 'warm', 30, 2, 0, 0, 'two');
INSERT INTO script_versions (script_id, version, engine, created_at, source) VALUES (x'02', 1, 'quickjs', 0, 'one'), (x'02', 2, 'quickjs', 0, 'two');
INSERT INTO triggers (id, app_id, script_id, kind, retry_max_attempts, retry_backoff, retry_base_ms, registered_by_principal, created_at, updated_at) VALUES (x'03', x'01', x'02', 'kv', 3, 'constant', 1, x'00', 0, 0);
INSERT INTO kv_trigger_details (trigger_id, collection_glob, ops) VALUES (x'03', '*', '[]');
INSERT INTO kv_entries (app_id, collection, key, created_at, updated_at, value) VALUES (x'01', 'a', 'k', 0, 0, '1'), (x'01', 'b', 'k', 0, 0, '1'), (x'01', 'count', 'n', 0, 0, '1'), (x'01', 'counted', 'k', 0, 0, '1');
`

const row = `INSERT INTO outbox (id, app_id, lane, ordering_key, blocked, source, op, trigger_depth, root_execution_id, retry_max_attempts, retry_backoff, retry_base_ms, next_attempt_at, claimed_at, claimed_by, claim_token, lease_until, created_at, payload) VALUES `

const letterRow = `INSERT INTO dead_letters (id, app_id, original_event_id, source, op, trigger_depth, root_execution_id, attempt_count, attempts, first_attempt_at, last_attempt_at, last_error, created_at, payload) VALUES `

// Each violation is planted alone in a sound file; the checks must name it.
func TestInspect(t *testing.T) {
	for _, c := range []struct{ name, plant, want string }{
		{"sound", ``, ""},
		{"half an execution", `DELETE FROM kv_entries WHERE collection = 'b'`, "is in a, not in b"},
		{"the other half", `DELETE FROM kv_entries WHERE collection = 'a'`, "is in b, not in a"},
		{"what a failed attempt wrote", `UPDATE kv_entries SET collection = 'leak' WHERE collection = 'count'`, "leaves no trace"},
		{"a lost update", `UPDATE kv_entries SET value = '2' WHERE collection = 'count'`, "no update is lost"},
		{"a stuck row", row + `(x'04', x'01', '', NULL, 0, 'kv', 'insert', 0, x'00', 3, 'constant', 1, 0, NULL, NULL, NULL, NULL, 0, '{}')`, "no row is stuck"},
		{"half a claim", row + `(x'04', x'01', '', NULL, 0, 'kv', 'insert', 0, x'00', 3, 'constant', 1, 0, 1, 'p', NULL, 1, 0, '{}')`, "a claim is whole"},
		{"a row that waits for nothing", row + `(x'04', x'01', 'queue:q', 'k', 1, 'queue', 'r', 0, x'00', 3, 'constant', 1, 0, NULL, NULL, NULL, NULL, 0, '{}')`, "waits for an earlier one"},
		{"two rows of a key at once", row + `(x'04', x'01', 'queue:q', 'k', 0, 'queue', 'r', 0, x'00', 3, 'constant', 1, 0, NULL, NULL, NULL, NULL, 0, '{}'),
			(x'05', x'01', 'queue:q', 'k', 0, 'queue', 'r', 0, x'00', 3, 'constant', 1, 0, NULL, NULL, NULL, NULL, 0, '{}')`, "first row is not kept back"},
		{"a letter and its row", letterRow + `(x'06', x'01', x'04', 'kv', 'insert', 0, x'00', 1, '[{}]', 0, 0, '', 0, '{}');` +
			row + `(x'04', x'01', '', NULL, 0, 'kv', 'insert', 0, x'00', 3, 'constant', 1, 0, NULL, NULL, NULL, NULL, 0, '{}')`, "a row or one open letter"},
		{"a letter without its history", letterRow + `(x'06', x'01', x'04', 'kv', 'insert', 0, x'00', 2, '[{}]', 0, 0, '', 0, '{}')`, "history of all attempts"},
		{"a script without its version", `DELETE FROM script_versions WHERE version = 2`, "newest version"},
		{"a gap in the versions", `UPDATE script_versions SET version = 0 WHERE version = 1`, "no gaps"},
		{"a trigger without details", `DELETE FROM kv_trigger_details`, "details of its kind"},
		{"a trigger of another app's script", `INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (x'09', 'other', 'n', 0, 0); UPDATE triggers SET app_id = x'09'`, "of one app"},
		{"a deployment without its source", `INSERT INTO deployments (app_id, number, restores, note, username, created_at, state) VALUES (x'01', 1, 1, '', '', 0, '[{"source":"h"}]')`, "has its sources"},
		{"a source without its deployment", `INSERT INTO deployed_sources (app_id, hash, source) VALUES (x'01', 'h', '')`, "last deployment"},
		{"an orphan", `DELETE FROM apps`, "foreign_key_check"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "picloud.db")
			plant(t, path, someApp+c.plant)
			err := inspect(t.Context(), path, schema.State, slices.Concat(always, atRest))
			v, _ := errors.AsType[*Violation](err)
			if err != nil && v == nil {
				t.Fatal(err)
			}
			check(t, v, c.want)
		})
	}
}

// plant makes a file and runs statements on it, without the care that db takes.
func plant(t *testing.T, path, statements string) {
	t.Helper()
	d, err := db.Open(t.Context(), path, db.Options{Schema: schema.State, Durability: db.Relaxed})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open(sql.Drivers()[0], path)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Exec(statements); err != nil {
		t.Fatal(err)
	}
}

// A damaged page is found.
func TestInspectDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "picloud.db")
	plant(t, path, someApp)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Seek(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(4096); at < size; at += 4096 {
		if _, err := f.WriteAt([]byte("not a page"), at); err != nil {
			t.Fatal(err)
		}
	}
	if v, ok := errors.AsType[*Violation](inspect(t.Context(), path, schema.State, always)); !ok {
		t.Errorf("found %v, want a violation", v)
	}
}

// An older file has what its version knows, and no more.
func TestOlder(t *testing.T) {
	dir := t.TempDir()
	if err := older(t.Context(), dir, firstWithData); err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(upTo{schema.State, firstWithData}, "state/*.sql")
	if err != nil || len(names) != firstWithData {
		t.Errorf("version %d has the migrations %v, %v", firstWithData, names, err)
	}
	if err := migrated(t.Context(), filepath.Join(dir, "picloud.db"), firstWithData); err != nil {
		t.Error(err)
	}
	plant(t, filepath.Join(dir, "other.db"), "")
	if err := migrated(t.Context(), filepath.Join(dir, "other.db"), firstWithData); err == nil || !strings.Contains(err.Error(), "0 keys are left") {
		t.Errorf("found %v in a file that lost its keys", err)
	}
}

// Whoever stops the torture while a file is checked has found nothing wrong with it.
func TestInspectStopped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stopped.db")
	if err := os.WriteFile(path, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	err := inspect(ctx, path, schema.State, always)
	if _, violation := errors.AsType[*Violation](err); err == nil || violation {
		t.Errorf("got %v, want what stopped it", err)
	}
}
