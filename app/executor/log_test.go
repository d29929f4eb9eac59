package executor

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/db/dbtest"
)

func testLog(t testing.TB, o LogOptions) *Log {
	t.Helper()
	return NewLog(dbtest.OpenLogs(t), o)
}

func invocation(app cloud.AppID) *cloud.Invocation {
	id := cloud.NewID[cloud.ExecutionID]()
	return &cloud.Invocation{ID: id, Root: id, App: app, Script: cloud.NewID[cloud.ScriptID](), Source: cloud.SourceHTTP, Op: "GET", Attempt: 1}
}

func TestLogReadsWhatWasJustRecorded(t *testing.T) {
	t.Parallel()
	l := testLog(t, LogOptions{})
	inv := invocation(cloud.NewID[cloud.AppID]())
	inv.Row = cloud.NewID[cloud.RowID]()
	inv.Request = &cloud.Request{
		Method: "POST", Path: "/a", Query: map[string]any{"q": []string{"1", "2"}}, RawBody: strings.Repeat("ä", 2000),
		Headers: map[string]string{"accept": "*/*", "Authorization": "Bearer s3cret", "cookie": "s3cret", "x-api-key": "s3cret", "x-long": strings.Repeat("v", 5000)},
	}
	res := &cloud.Result{
		StatusCode: 502, Err: cloud.Errorf(cloud.ScriptError, "failed"), Trace: &cloud.Trace{Message: "boom", File: "a.js", Line: 3, Column: 4},
		Logs: []cloud.LogLine{{Level: "info", Message: "hi", Fields: json.RawMessage(`{"a":1}`)}}, Started: 1000, DurationMS: 1.5, ScriptVersion: 7, Reruns: 2,
	}
	l.Record(inv, res)
	x, err := l.Execution(t.Context(), inv.ID)
	if err != nil {
		t.Fatal(err)
	}
	if x.Status != cloud.StatusError || x.Error.Line != 3 || x.Logs[0].Message != "hi" || string(x.Logs[0].Fields) != `{"a":1}` || x.Reruns != 2 || x.ScriptVersion != 7 || x.DurationMS != 1.5 {
		t.Errorf("got %+v", x)
	}
	if s := string(x.Request); strings.Contains(s, "s3cret") || !strings.Contains(s, `"accept":"*/*"`) || len(s) > 4000 {
		t.Errorf("request: got %s (%d bytes)", s, len(s))
	}
	for name, find := range map[string]func() ([]*cloud.Execution, error){
		"attempts": func() ([]*cloud.Execution, error) { return l.Attempts(t.Context(), inv.Row) },
		"chain":    func() ([]*cloud.Execution, error) { return l.Chain(t.Context(), inv.Root) },
	} {
		if got, err := find(); err != nil || len(got) != 1 || got[0].ID != inv.ID {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	l.Record(inv, &cloud.Result{StatusCode: 200}) // once more, after a power cut
	if x, err = l.Execution(t.Context(), inv.ID); err != nil || x.Status != cloud.StatusSuccess || x.Error != nil {
		t.Errorf("recorded again: got %+v, %v", x, err)
	}
	if _, err := l.Execution(t.Context(), cloud.NewID[cloud.ExecutionID]()); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("unknown id: got %v, want not found", err)
	}
}

// Reading must run along an index of what is looked for: a script that seldom runs has few
// records among very many.
func TestLogPlans(t *testing.T) {
	t.Parallel()
	l := testLog(t, LogOptions{})
	for _, tt := range []struct {
		where  string
		params int
		index  string
	}{
		{appExecutions, 7, "executions_app (app_id=? AND id<?)"},
		{scriptExecutions, 7, "executions_script (script_id=? AND id<?)"},
		{chainOf, 1, "executions_root (root_execution_id=?)"},
	} {
		plan := planOf(t, l, selectExecution+tt.where, tt.params)
		if !strings.Contains(plan, tt.index) || strings.Contains(plan, "SCAN executions") {
			t.Errorf("got the plan %s, want one with %s", plan, tt.index)
		}
	}
}

func planOf(t *testing.T, l *Log, query string, params int) string {
	t.Helper()
	var plan []string
	err := l.db.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query(`EXPLAIN QUERY PLAN `+query, make([]any, params)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		plan = nil
		for rows.Next() {
			var n, parent, unused int
			var step string
			if err := rows.Scan(&n, &parent, &unused, &step); err != nil {
				return err
			}
			plan = append(plan, step)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "; ")
}

// Each event of a batch finds the execution that it was part of.
func TestLogFindsBatches(t *testing.T) {
	t.Parallel()
	l := testLog(t, LogOptions{})
	inv := invocation(cloud.NewID[cloud.AppID]())
	inv.Row, inv.Batch = cloud.NewID[cloud.RowID](), []cloud.RowID{cloud.NewID[cloud.RowID](), cloud.NewID[cloud.RowID]()}
	for range 2 { // once more, after a power cut
		l.Record(inv, &cloud.Result{StatusCode: 200})
		for _, event := range append(inv.Batch, inv.Row) {
			if got, err := l.Attempts(t.Context(), event); err != nil || len(got) != 1 || got[0].ID != inv.ID {
				t.Errorf("attempts of %s: got %v, %v", event, got, err)
			}
		}
	}
	if got, err := l.Attempts(t.Context(), cloud.NewID[cloud.RowID]()); err != nil || len(got) != 0 {
		t.Errorf("attempts of another event: got %v, %v", got, err)
	}
}

func TestLogPages(t *testing.T) {
	t.Parallel()
	l := testLog(t, LogOptions{})
	app, other := cloud.NewID[cloud.AppID](), cloud.NewID[cloud.AppID]()
	var ids []cloud.ExecutionID
	for i := range 25 {
		inv := invocation(app)
		ids = append([]cloud.ExecutionID{inv.ID}, ids...)
		res := &cloud.Result{StatusCode: 200, Started: cloud.Time(i + 1)}
		if i%5 == 0 {
			res.Err = cloud.Errorf(cloud.Timeout, "late")
		}
		l.Record(inv, res)
		l.Record(invocation(other), res)
	}
	var got []cloud.ExecutionID
	for p := (cloud.Page{Limit: 10}); ; {
		found, next, err := l.Executions(t.Context(), app, Query{}, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range found {
			got = append(got, x.ID)
		}
		if p.Cursor = next; next == "" {
			break
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(ids) {
		t.Errorf("got %v, want %v", got, ids)
	}
	found, _, err := l.Executions(t.Context(), app, Query{Status: cloud.StatusTimeout, Source: cloud.SourceHTTP, Since: 7}, cloud.Page{})
	if err != nil || len(found) != 3 {
		t.Errorf("timeouts since 6: got %d, %v, want 3", len(found), err)
	}
	found, _, err = l.Executions(t.Context(), app, Query{ScriptID: cloud.NewID[cloud.ScriptID]()}, cloud.Page{})
	if err != nil || len(found) != 0 {
		t.Errorf("of another script: got %v, %v", found, err)
	}
	if _, _, err := l.Executions(t.Context(), app, Query{}, cloud.Page{Cursor: "x"}); cloud.KindOf(err) != cloud.BadRequest {
		t.Errorf("bad cursor: got %v", err)
	}
}

func TestLogCaps(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := testLog(t, LogOptions{MaxRows: 600, MaxBytes: 500_000, MaxAge: time.Hour, Now: func() time.Time { return now }})
	app := cloud.NewID[cloud.AppID]()
	for i := range 1500 {
		l.Record(invocation(app), &cloud.Result{StatusCode: 200, Started: cloud.TimeOf(now) + cloud.Time(i)})
	}
	l.flush(t.Context())
	l.trim(t.Context())
	if l.kept.rows != 600 {
		t.Errorf("rows: got %d, want 600", l.kept.rows)
	}
	for i := range 300 {
		l.Record(invocation(app), &cloud.Result{StatusCode: 200, Body: []byte(strings.Repeat("x", 3000)), Started: cloud.TimeOf(now) + 2000 + cloud.Time(i)})
	}
	l.flush(t.Context())
	l.trim(t.Context())
	if l.kept.bytes > 500_000 || l.kept.rows < 150 {
		t.Errorf("bytes: got %d in %d rows, want at most 500000 and not much less", l.kept.bytes, l.kept.rows)
	}
	counted := l.kept
	l.kept.rows = -1
	if err := l.count(t.Context()); err != nil || l.kept != counted {
		t.Errorf("counted anew: got %+v, %v, want %+v", l.kept, err, counted)
	}
	now = now.Add(2 * time.Hour)
	l.trim(t.Context())
	if l.kept.rows != 0 || l.kept.bytes != 0 {
		t.Errorf("after the age: got %+v, want nothing", l.kept)
	}
}

func TestLogDropsSuccessesFirst(t *testing.T) {
	t.Parallel()
	l := testLog(t, LogOptions{})
	app := cloud.NewID[cloud.AppID]()
	for i := range logBuffer + 100 {
		res := &cloud.Result{StatusCode: 200}
		if i < 50 {
			res.Err = cloud.Errorf(cloud.ScriptError, "e")
		}
		l.Record(invocation(app), res)
	}
	if got := l.Lost(); got != 100 {
		t.Errorf("dropped %d, want 100", got)
	}
	found, _, err := l.Executions(t.Context(), app, Query{Status: cloud.StatusError}, cloud.Page{Limit: 200})
	if err != nil || len(found) != 50 {
		t.Errorf("failures kept: got %d, %v, want all 50", len(found), err)
	}
}

func TestLogServeWritesInTheBackground(t *testing.T) {
	t.Parallel()
	l := testLog(t, LogOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := l.Serve(ctx); err != nil {
			t.Error(err)
		}
	})
	app := cloud.NewID[cloud.AppID]()
	stream, stop := l.Subscribe(app)
	inv := invocation(app)
	l.Record(invocation(cloud.NewID[cloud.AppID]()), &cloud.Result{StatusCode: 200})
	l.Record(inv, &cloud.Result{StatusCode: 200})
	if x := <-stream; x.ID != inv.ID {
		t.Errorf("streamed %s, want %s", x.ID, inv.ID)
	}
	stop()
	stop()
	cancel()
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buffer) != 0 {
		t.Errorf("%d records left unwritten at the end", len(l.buffer))
	}
}

func TestLogTroubleFailsNothing(t *testing.T) {
	t.Parallel()
	d := dbtest.OpenLogs(t)
	l := NewLog(d, LogOptions{})
	d.Close()
	l.Record(invocation(cloud.NewID[cloud.AppID]()), &cloud.Result{StatusCode: 200})
	l.flush(t.Context())
	if l.Lost() != 1 {
		t.Errorf("lost %d, want 1", l.Lost())
	}
}

func BenchmarkLogRecord(b *testing.B) {
	l := testLog(b, LogOptions{})
	inv := invocation(cloud.NewID[cloud.AppID]())
	inv.Request = &cloud.Request{Method: "GET", Path: "/hello", Headers: map[string]string{"accept": "*/*", "user-agent": "bench"}}
	res := &cloud.Result{StatusCode: 200, Body: []byte(`{"hello":"world"}`)}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		inv.ID = cloud.NewID[cloud.ExecutionID]()
		l.Record(inv, res)
		if n++; n%logBatch == 0 {
			l.flush(b.Context())
		}
	}
}
