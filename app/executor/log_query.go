package executor

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// Query selects executions; zero fields select all.
type Query struct {
	ScriptID cloud.ScriptID
	Status   cloud.Status
	Source   string
	Since    cloud.Time // of their start
}

// insertExecution stores x and says how large it is. An execution that a power cut made run
// again replaces its first record.
func insertExecution(tx *db.Tx, x *cloud.Execution) (size int64, err error) {
	trace, err := jsonOrNull(x.Error, x.Error == nil)
	if err != nil {
		return 0, err
	}
	logs, err := jsonOrNull(x.Logs, len(x.Logs) == 0)
	if err != nil {
		return 0, err
	}
	request := sql.NullString{String: string(x.Request), Valid: len(x.Request) > 0}
	size = int64(256 + len(trace.String) + len(logs.String) + len(request.String) + len(x.ResponseSummary))
	values := []any{
		x.ID, x.AppID, x.ScriptID, x.ScriptVersion, x.Source, x.Op, x.TriggerID, x.RootExecutionID, x.ParentID, x.EventID, x.Depth, x.Attempt,
		string(x.Status), x.StatusCode, x.Reruns, x.DurationMS, int64(x.StartedAt), int64(x.FinishedAt), size, trace, request, x.ResponseSummary, logs,
	}
	res, err := tx.Exec(insertOneExecution, values...)
	if err == nil && affected(res) == 0 { // it is there already: it ran again after a power cut
		if _, err = tx.Exec(`DELETE FROM executions WHERE id = ?`, x.ID); err == nil {
			_, err = tx.Exec(insertOneExecution, values...)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("store execution %s: %w", x.ID, err)
	}
	for _, event := range x.BatchIDs {
		if _, err := tx.Exec(`INSERT OR IGNORE INTO batch_events (event_id, execution_id) VALUES (?, ?)`, event, x.ID); err != nil {
			return 0, fmt.Errorf("store the events of execution %s: %w", x.ID, err)
		}
	}
	return size + int64(64*len(x.BatchIDs)), nil
}

// insertOneExecution doesn't say OR REPLACE: that would make SQLite keep a journal of each
// statement, as if there were much to replace.
const insertOneExecution = `INSERT OR IGNORE INTO executions
	(id, app_id, script_id, script_version, source, op, trigger_id, root_execution_id, parent_execution_id, event_id, depth, attempt,
	 status, status_code, reruns, duration_ms, started_at, finished_at, bytes, error, request, response_summary, logs)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func affected(r sql.Result) int64 {
	n, _ := r.RowsAffected() // neither driver fails here
	return n
}

func jsonOrNull(v any, null bool) (sql.NullString, error) {
	if null {
		return sql.NullString{}, nil
	}
	b, err := json.Marshal(v)
	return sql.NullString{String: string(b), Valid: true}, err
}

const selectExecution = `SELECT id, app_id, script_id, script_version, source, op, trigger_id, root_execution_id, parent_execution_id, event_id,
	depth, attempt, status, status_code, reruns, duration_ms, started_at, finished_at, error, request, response_summary, logs FROM executions `

func scanExecution(row interface{ Scan(...any) error }) (*cloud.Execution, error) {
	x := &cloud.Execution{Logs: []cloud.LogLine{}}
	var trace, request, logs sql.NullString
	err := row.Scan(&x.ID, &x.AppID, &x.ScriptID, &x.ScriptVersion, &x.Source, &x.Op, &x.TriggerID, &x.RootExecutionID, &x.ParentID, &x.EventID,
		&x.Depth, &x.Attempt, &x.Status, &x.StatusCode, &x.Reruns, &x.DurationMS, &x.StartedAt, &x.FinishedAt, &trace, &request, &x.ResponseSummary, &logs)
	if err != nil {
		return nil, err
	}
	if request.Valid {
		x.Request = json.RawMessage(request.String)
	}
	if trace.Valid {
		x.Error = &cloud.Trace{}
		err = json.Unmarshal([]byte(trace.String), x.Error)
	}
	if logs.Valid {
		err = errors.Join(err, json.Unmarshal([]byte(logs.String), &x.Logs))
	}
	return x, err
}

// The two ways to list executions, each along an index: ?3 is a script, or null.
const (
	appExecutions    = `WHERE app_id = ?1 AND id < ?2 AND ?3 IS NULL` + filtered
	scriptExecutions = `WHERE script_id = ?3 AND id < ?2 AND +app_id = ?1` + filtered
	filtered         = ` AND (?4 = '' OR status = ?4) AND (?5 = '' OR source = ?5) AND started_at >= ?6 ORDER BY id DESC LIMIT ?7`
)

// Executions lists an app's executions, newest first.
func (l *Log) Executions(ctx context.Context, app cloud.AppID, q Query, p cloud.Page) ([]*cloud.Execution, string, error) {
	before, err := readCursor(p.Cursor)
	if err != nil {
		return nil, "", err
	}
	limit := p.Clamp()
	of := appExecutions
	if !q.ScriptID.IsZero() {
		of = scriptExecutions
	}
	found, err := l.query(ctx, of, app, before, q.ScriptID, string(q.Status), q.Source, int64(q.Since), limit+1)
	if err != nil || len(found) <= limit {
		return found, "", err
	}
	found = found[:limit]
	last := found[limit-1].ID
	return found, base64.RawURLEncoding.EncodeToString(last[:]), nil
}

// readCursor is the id that a page ends before; "" is above all ids.
func readCursor(s string) ([]byte, error) {
	if s == "" {
		return aboveAll, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != 16 {
		return nil, cloud.Errorf(cloud.BadRequest, "cursor: this is not one that a list answered: leave it out to start again")
	}
	return b, nil
}

// Execution is one by its id; NotFound when it was never there or its log is gone.
func (l *Log) Execution(ctx context.Context, id cloud.ExecutionID) (*cloud.Execution, error) {
	found, err := l.query(ctx, `WHERE id = ?`, id)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, cloud.Errorf(cloud.NotFound, "no such execution, or its log is gone: logs are kept for a limited time")
	}
	return found[0], nil
}

// Attempts are the executions that ran for one outbox row, in order.
func (l *Log) Attempts(ctx context.Context, event cloud.RowID) ([]*cloud.Execution, error) {
	return l.query(ctx, `WHERE id IN (SELECT id FROM executions WHERE event_id = ?1 UNION SELECT execution_id FROM batch_events WHERE event_id = ?1)
		ORDER BY id LIMIT 1000`, event)
}

// chainOf finds a root by its id: the index has only what it led to.
const chainOf = `WHERE id IN (SELECT ?1 UNION SELECT id FROM executions WHERE root_execution_id = ?1 AND root_execution_id != id) ORDER BY id LIMIT 1000`

// Chain is every execution of a root, oldest first, at most 1000.
func (l *Log) Chain(ctx context.Context, root cloud.ExecutionID) ([]*cloud.Execution, error) {
	return l.query(ctx, chainOf, root)
}

// query writes what is waiting, then reads.
func (l *Log) query(ctx context.Context, where string, args ...any) (found []*cloud.Execution, err error) {
	l.flush(context.WithoutCancel(ctx))
	err = l.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		found = []*cloud.Execution{}
		rows, err := rx.Query(selectExecution+where, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			x, err := scanExecution(rows)
			if err != nil {
				return err
			}
			found = append(found, x)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the execution log: %w", err)
	}
	return found, nil
}
