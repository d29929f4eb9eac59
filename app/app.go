// Package app wires PiCloud together. Read New to see the whole machine.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
	"picloud/app/control"
	"picloud/app/data"
	"picloud/app/deploy"
	"picloud/app/executor"
	"picloud/app/outbound"
	"picloud/app/outbox"
	"picloud/app/sdk"
	"picloud/app/web"
	"picloud/db"
	"picloud/durable"
	"picloud/schema"
)

// App is one instance: its databases, its stores and the loops between them.
type App struct {
	cfg     *Config
	log     *slog.Logger
	started time.Time
	metrics *metrics

	lock        *db.DirLock
	disk        *disk
	state, logs *db.DB
	replication replication
	wear        *wear

	control    *control.Control
	outbox     *outbox.Outbox
	data       *data.Store
	secrets    *data.Secrets
	outbound   *outbound.Client
	breakers   outbound.Breakers
	executions *executor.Log
	gate       *executor.Gate
	executor   *executor.Executor
	web        *web.Server
}

// New opens the data directory and puts the machine together; nothing runs before Run. A
// second instance on one directory is refused.
func New(ctx context.Context, cfg *Config) (_ *App, err error) {
	a := &App{cfg: cfg, log: cfg.Logger, started: time.Now(), metrics: newMetrics(), wear: newWear(), disk: newDisk(cfg.DataDir, cfg.DiskReserveBytes)}
	if a.log == nil {
		a.log = slog.Default()
	}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	a.gate = executor.NewGate(executor.GateOptions{Size: cfg.MaxConcurrentExecutions, Queue: cfg.GateQueue, Wait: cfg.GateWait})
	if a.control, err = control.New(ctx, a.state, control.Options{SessionTTL: cfg.SessionTTL, Logger: a.log, OnDelete: a.forget}); err != nil {
		return nil, err
	}
	a.wear.exists = func(id cloud.AppID) bool { return a.control.SlugOf(id) != "" }
	a.outbox = outbox.New(a.state, outbox.Options{
		Gate: a.gate, Principals: a.control, Scripts: a.control, Logger: a.log,
		Retry:               outbox.Retry{MaxAttempts: cfg.RetryMaxAttempts, Backoff: cfg.RetryBackoff, BaseMS: cfg.RetryBaseMS, JitterPct: cfg.RetryJitterPct},
		Quota:               a.control.QuotaOf,
		Accept:              a.disk.accept,
		MaxDepth:            cfg.MaxTriggerDepth,
		MaxPerApp:           max(1, cfg.MaxConcurrentExecutions/2),
		Deduplication:       cfg.Deduplication,
		DeadLetterRetention: days(cfg.DeadLetterDays),
		AbandonedRetention:  days(cfg.AbandonedDays),
		SyncOutbox:          cfg.SyncOutbox,
		Senders:             map[string]outbox.Sender{cloud.SourceHTTPOut: a.sendLater},
		SendTimeout:         sdk.MaxLaterTimeout + 10*time.Second,
		SendRetry:           outbox.Retry{MaxAttempts: cfg.OutboundRetryAttempts, Backoff: outbox.Exponential, BaseMS: cfg.OutboundRetryBaseMS},
		SendPatience:        time.Duration(cfg.OutboundPatienceHours) * time.Hour,
		Synced:              clockSynced,
		ClockWait:           cfg.ClockWait,
		Epoch:               plausible,
	})
	signing, err := a.control.SigningKey(ctx, "subscribers")
	if err != nil {
		return nil, err
	}
	a.data = data.New(a.state, a.outbox, data.Options{
		Logger: a.log, ClockWait: cfg.ClockWait, Synced: clockSynced, Quota: func(app cloud.AppID) int64 { return a.control.QuotaOf(app).KVBytes },
		Tokens:      data.TokenOptions{Key: signing, Min: seconds(cfg.TokenTTLMin), Max: seconds(cfg.TokenTTLMax), Default: seconds(cfg.TokenTTLDefault)},
		Subscribers: data.SubscriberOptions{Max: cfg.MaxSubscribers, MaxPerApp: cfg.MaxSubscribersPerApp},
	})
	a.secrets = data.NewSecrets(a.state, data.SecretsOptions{Keys: cfg.MasterKeys, File: filepath.Join(cfg.DataDir, data.KeyFile), Logger: a.log})
	a.outbound = outbound.New(outbound.Options{
		Allow: cfg.OutboundAllow, AllowOf: a.control.OutboundOf,
		MaxRequest: cfg.OutboundRequestBytes, MaxResponse: cfg.OutboundResponseBytes, Timeout: cfg.OutboundTimeout,
		MaxHops: cfg.MaxTriggerDepth, Logger: a.log,
	})
	a.executions = executor.NewLog(a.logs, executor.LogOptions{MaxAge: days(cfg.LogRetentionDays), MaxRows: cfg.LogMaxRows, MaxBytes: cfg.LogMaxBytes, Epoch: plausible, Settled: a.outbox.ClockSettled, Delay: cfg.LogDelay, Shed: a.disk.shedLogs, Logger: a.log})
	if a.executor, err = executor.New(executor.Options{
		Scripts: a.control, Services: sdk.Services{Data: a.data, Outbox: a.outbox, HTTP: a.outbound, Secrets: a.secrets, Requests: cfg.OutboundRequests, Away: a.gate.Away},
		Log:       a.executions,
		Isolation: cfg.Isolation, Workers: cfg.IsolationWorkers,
		Engines: cfg.Engines, Concurrent: cfg.MaxConcurrentExecutions, Ceiling: cfg.Limits, MaxDepth: cfg.MaxTriggerDepth, Logger: a.log,
	}); err != nil {
		return nil, err
	}
	a.control.SetCompiler(a.executor)
	a.outbox.SetRunner(a.executor)
	a.web = web.New(web.Options{
		Control: a.control, Outbox: a.outbox, Data: a.data, Secrets: a.secrets, Breakers: &a.breakers, Log: a.executions, Deployer: deploy.New(a.state, a.control, a.outbox),
		Registry: a.registry(), Logger: a.log, Version: BuildVersion(),
		MaxBodyBytes: cfg.MaxBodyBytes, TrustedProxies: cfg.TrustedProxies, TLS: cfg.tls(), SessionTTL: cfg.SessionTTL,
		NoSlugRoutes: !cfg.SlugRoutes, Ready: a.healthy, System: a.system, Portable: a.portable(),
		Backup: a.backup(),
	})
	return a, a.firstStart(ctx)
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// open takes the data directory and opens both files in it.
func (a *App) open(ctx context.Context) (err error) {
	dir := a.cfg.DataDir
	if a.lock, err = db.Lock(dir); err != nil {
		return err
	}
	a.sweep()
	if err := a.cfg.finishRestore(a.log); err != nil {
		return err
	}
	if err := a.openReplication(ctx); err != nil {
		return err
	}
	// An execution pins a reader from its first read to its end, and may list dead letters
	// through a second one; the API reads beside them.
	readers := 2*a.cfg.MaxConcurrentExecutions + 4
	o := db.Options{Schema: schema.State, Durability: a.cfg.Durability, Readers: readers, Observe: a.committed, Logger: a.log}
	if a.replication.named {
		o.AutoCheckpoint = replicatedCheckpoint
	}
	a.state, err = db.Open(ctx, a.cfg.stateFile(), o)
	if db.IsCorrupt(err) {
		return fmt.Errorf("%w\n%s", err, howToRestore)
	}
	if err != nil {
		return err
	}
	if a.logs, err = a.openLogs(ctx, filepath.Join(dir, "logs.db")); err != nil {
		return err
	}
	a.wear.files[stateFile].db, a.wear.files[logsFile].db = a.state, a.logs
	return nil
}

// howToRestore is what to do about a picloud.db that is damaged.
const howToRestore = "picloud.db is damaged, and was left as it is. Restore it from its replica with `picloud restore --force`, which keeps the damaged file beside it; " +
	"without a replica, put a copy of picloud.db in its place that you kept elsewhere"

// committed is told of every group commit of picloud.db, on the writer's goroutine.
func (a *App) committed(s db.CommitStats) {
	a.metrics.commit(s)
	a.wear.committed(stateFile, s.Shares)
	a.replication.committed()
}

// logsDamaged is what to do about a logs.db whose damage shows only while it is in use; one that
// shows it at a start is set aside.
const logsDamaged = "the execution log is damaged, or its disk can't be read (look at the machine's kernel log): start the instance anew, and if that doesn't help, stop it and delete logs.db; nothing else is in it"

// openLogs opens logs.db. Execution logs may be lost at any time: a damaged file is set
// aside and started anew, rather than keep the instance down.
func (a *App) openLogs(ctx context.Context, path string) (*db.DB, error) {
	o := db.Options{Schema: schema.Logs, Durability: db.Relaxed, Readers: 4, CacheKiB: 2000, Logger: a.log, // it appends: a large cache would only take memory
		Observe: func(s db.CommitStats) { a.wear.committed(logsFile, s.Shares) }, Damaged: logsDamaged}
	d, err := db.Open(ctx, path, o)
	if err == nil || !db.IsCorrupt(err) {
		return d, err
	}
	damage := err
	stamp, err := durable.Stamp(filepath.Dir(path), time.Now())
	if err != nil {
		return nil, fmt.Errorf("set the damaged logs.db aside: %w", err)
	}
	aside := path + ".damaged-" + stamp
	a.log.Warn("logs.db is damaged: set aside and started anew", "aside", filepath.Base(aside), "err", damage)
	if err := os.Rename(path, aside); err != nil {
		return nil, fmt.Errorf("set the damaged logs.db aside: %w", err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("remove %s of the damaged logs.db: %w", suffix, err)
		}
	}
	return db.Open(ctx, path, o)
}

// forget drops what others keep in memory for a deleted script, or app when script is zero.
func (a *App) forget(app cloud.AppID, script cloud.ScriptID) {
	if script.IsZero() {
		a.outbox.ForgetApp(app)
		a.data.ForgetApp(app)
		a.outbound.Forget(app)
	} else {
		a.outbox.Forget(app)
		a.executor.Forget(script)
		a.wear.forget(script)
	}
}

// ready says why the instance can't work in a way that a new start might mend.
func (a *App) ready(ctx context.Context) error {
	if !a.outbox.Serving() {
		return cloud.Errorf(cloud.Overloaded, "the dispatcher does not run")
	}
	if a.state.Damaged() {
		return a.state.Fault()
	}
	return a.state.View(ctx, func(_ context.Context, rx *db.Rx) error {
		var one int
		return rx.QueryRow("SELECT 1").Scan(&one)
	})
}

// healthy says why the instance can't do all of its work: also when its disk is full or fails,
// which a new start would only make worse. Once a change failed, only one that succeeds shows
// that the disk is well again, so it tries one.
func (a *App) healthy(ctx context.Context) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	if a.state.Fault() != nil && !a.state.Damaged() {
		if err := a.state.TryWrite(ctx); err != nil {
			return err
		}
	}
	return a.state.Fault()
}

// registry gathers what every part counts.
func (a *App) registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	for _, part := range []interface{ Collectors() []prometheus.Collector }{a.outbox, a.data, a.gate, a.executor, a.executions, a.outbound, &a.breakers, a.metrics, a.wear} {
		r.MustRegister(part.Collectors()...)
	}
	r.MustRegister(a.replication.collectors()...)
	r.MustRegister(a.fileCollector())
	return r
}

// Close frees what New opened; Run does so itself.
func (a *App) Close() error {
	var errs []error
	if a.executor != nil {
		a.executor.Close()
	}
	if a.outbound != nil {
		a.outbound.CloseIdle()
	}
	for _, d := range []*db.DB{a.logs, a.state} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	errs = append(errs, a.replication.close()) // after our own connections: see replica.Close
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}
