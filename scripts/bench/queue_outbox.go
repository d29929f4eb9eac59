package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"

	"picloud/app/cloud"
	"picloud/app/executor"
	"picloud/app/outbox"
	"picloud/db"
	"picloud/schema"
)

// outboxQueue is PiCloud's outbox with a runner that does nothing: what is measured is
// enqueue, claim, hand-over and acknowledgement, as for the peers.
type outboxQueue struct {
	db      *db.DB
	out     *outbox.Outbox
	app     cloud.AppID
	script  cloud.ScriptID
	stop    context.CancelFunc
	stopped chan struct{}
}

func openOutbox(dir, synchronous string, done func(string)) (queue, error) {
	durability := db.Relaxed
	if synchronous == "FULL" {
		durability = db.Full
	}
	ctx := context.Background()
	d, err := db.Open(ctx, filepath.Join(dir, "queue.db"), db.Options{Schema: schema.State, Durability: durability})
	if err != nil {
		return nil, err
	}
	q := &outboxQueue{db: d, app: cloud.NewID[cloud.AppID](), script: cloud.NewID[cloud.ScriptID](), stopped: make(chan struct{})}
	err = d.Update(ctx, func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (?, 'bench', 'bench', 0, 0)", q.app)
		return err
	})
	if err != nil {
		return nil, err
	}
	q.out = outbox.New(d, outbox.Options{Gate: executor.NewGate(executor.GateOptions{Size: 8}), Principals: noPrincipals{}, Scripts: oneScript{}})
	q.out.SetRunner(emptyRunner{done})
	serve, stop := context.WithCancel(ctx)
	q.stop = stop
	go func() { defer close(q.stopped); q.out.Serve(serve) }()
	return q, nil
}

func (q *outboxQueue) enqueue(ctx context.Context, body string) error {
	return q.out.Submit(ctx, &cloud.Invocation{
		ID: cloud.NewID[cloud.ExecutionID](), App: q.app, Script: q.script, Source: cloud.SourceHTTP, Op: "POST",
		Request: &cloud.Request{Method: "POST", Path: "/job", Body: json.RawMessage(`"` + body + `"`)},
	})
}

func (q *outboxQueue) close() { q.stop(); <-q.stopped; q.db.Close() }

type emptyRunner struct{ done func(string) }

func (r emptyRunner) Run(_ context.Context, inv *cloud.Invocation, _ func(context.Context, *db.Tx) error) (*cloud.Result, outbox.Effects) {
	r.done(strings.Trim(string(inv.Request.Body), `"`))
	return &cloud.Result{StatusCode: 204}, nil
}

func (emptyRunner) Record(*cloud.Invocation, *cloud.Result) {}

type oneScript struct{}

func (oneScript) Script(_ context.Context, id cloud.ScriptID) (*cloud.Script, error) {
	return &cloud.Script{ID: id, TimeoutSeconds: 30}, nil
}

func (s oneScript) ScriptTx(_ *db.Rx, id cloud.ScriptID) (*cloud.Script, error) {
	return s.Script(context.Background(), id)
}

type noPrincipals struct{}

func (noPrincipals) Principal(context.Context, cloud.UserID) (*cloud.Principal, error) {
	return nil, cloud.Errorf(cloud.NotFound, "no such user")
}
