package main

import (
	"context"
	"database/sql"
	_ "embed"
	"io"
	"log/slog"
	"time"

	"github.com/mikestefanello/backlite"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"maragu.dev/goqite"
	"maragu.dev/goqite/jobs"
)

// goqiteQueue polls as fast as its runner allows without a busy loop.
type goqiteQueue struct {
	db   *sql.DB
	q    *goqite.Queue
	stop func()
}

const goqiteSchema = `
create table goqite (
  id text primary key default ('m_' || lower(hex(randomblob(16)))),
  created text not null default (strftime('%Y-%m-%dT%H:%M:%fZ')),
  updated text not null default (strftime('%Y-%m-%dT%H:%M:%fZ')),
  queue text not null,
  body blob not null,
  timeout text not null default (strftime('%Y-%m-%dT%H:%M:%fZ')),
  received integer not null default 0,
  priority integer not null default 0
) strict;
create index goqite_queue_priority_created_idx on goqite (queue, priority desc, created);`

func openGoqite(dir, synchronous string, done func(string)) (queue, error) {
	db, err := openSQL(dir, synchronous)
	if err != nil {
		return nil, err
	}
	if _, err := db.Exec(goqiteSchema); err != nil {
		return nil, err
	}
	q := goqite.New(goqite.NewOpts{DB: db, Name: "bench"})
	r := jobs.NewRunner(jobs.NewRunnerOpts{Limit: 8, PollInterval: time.Millisecond, Queue: q})
	r.Register("job", func(_ context.Context, m []byte) error { done(string(m)); return nil })
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.Start(ctx) }()
	return &goqiteQueue{db, q, func() { cancel(); <-stopped }}, nil
}

func (g *goqiteQueue) enqueue(ctx context.Context, body string) error {
	_, err := jobs.Create(ctx, g.q, "job", goqite.Message{Body: []byte(body)})
	return err
}

func (g *goqiteQueue) close() { g.stop(); g.db.Close() }

// backliteTask is the one task type.
type backliteTask struct{ Body string }

func (backliteTask) Config() backlite.QueueConfig {
	return backlite.QueueConfig{Name: "job", MaxAttempts: 3, Timeout: 10 * time.Second}
}

type backliteQueue struct {
	db *sql.DB
	c  *backlite.Client
}

func openBacklite(dir, synchronous string, done func(string)) (queue, error) {
	db, err := openSQL(dir, synchronous)
	if err != nil {
		return nil, err
	}
	c, err := backlite.NewClient(backlite.ClientConfig{DB: db, NumWorkers: 8, ReleaseAfter: time.Minute, CleanupInterval: time.Hour})
	if err != nil {
		return nil, err
	}
	if err := c.Install(); err != nil {
		return nil, err
	}
	c.Register(backlite.NewQueue(func(_ context.Context, t backliteTask) error { done(t.Body); return nil }))
	c.Start(context.Background())
	return &backliteQueue{db, c}, nil
}

func (b *backliteQueue) enqueue(ctx context.Context, body string) error {
	_, err := b.c.Add(backliteTask{body}).Ctx(ctx).Save()
	return err
}

func (b *backliteQueue) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	b.c.Stop(ctx)
	b.db.Close()
}

type riverArgs struct {
	Body string `json:"body"`
}

func (riverArgs) Kind() string { return "job" }

type riverWorker struct {
	river.WorkerDefaults[riverArgs]
	done func(string)
}

func (w *riverWorker) Work(_ context.Context, j *river.Job[riverArgs]) error {
	w.done(j.Args.Body)
	return nil
}

type riverQueue struct {
	db *sql.DB
	c  *river.Client[*sql.Tx]
}

func openRiver(dir, synchronous string, done func(string)) (queue, error) {
	db, err := openSQL(dir, synchronous)
	if err != nil {
		return nil, err
	}
	driver := riversqlite.New(db)
	m, err := rivermigrate.New(driver, nil)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{done: done})
	c, err := river.NewClient(driver, &river.Config{
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 8}},
		Workers:           workers,
		FetchCooldown:     time.Millisecond, // its least
		FetchPollInterval: 2 * time.Millisecond,
		Logger:            slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return nil, err
	}
	return &riverQueue{db, c}, c.Start(ctx)
}

func (r *riverQueue) enqueue(ctx context.Context, body string) error {
	_, err := r.c.Insert(ctx, riverArgs{body}, nil)
	return err
}

func (r *riverQueue) close() {
	r.c.StopAndCancel(context.Background())
	r.db.Close()
}
