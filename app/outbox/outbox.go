// Package outbox is all durable work that waits to run: triggers, rows, the dispatcher,
// leases, retries, dead letters, abandoned executions and the inbox of waiting callers.
// DESIGN.md says why so.
package outbox

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// Runner runs scripts. *executor.Executor is the real one.
type Runner interface {
	// Run executes inv once. It never returns a nil result; the effects are nil when the
	// execution got nowhere. hold, when not nil, must succeed inside every transaction that
	// the execution makes before its end (ctx.commit), so that a lost claim commits nothing.
	// It returns within the script's time limit, and soon after ctx ends.
	Run(ctx context.Context, inv *cloud.Invocation, hold func(context.Context, *db.Tx) error) (*cloud.Result, Effects)
	// Record keeps the final outcome in the execution log, once per execution (conflict
	// re-runs are one execution).
	Record(inv *cloud.Invocation, res *cloud.Result)
}

// Effects is what an execution wants to change. *data.Unit is the real one.
type Effects interface {
	// Empty reports that there is nothing to commit.
	Empty() bool
	// Apply checks that what was read still holds and makes the changes, events included.
	// When what was read does not hold any more the error is a Contended. It is called after
	// Close.
	Apply(ctx context.Context, tx *db.Tx) error
	// Close ends the snapshot. It may be called twice.
	Close()
}

// Contended is the error of an execution that must run again because another commit changed
// what it had read. It is found with errors.As, in what Apply returns and in Result.Err.
type Contended interface {
	error
	// Turn waits until it is this execution's turn on all keys that ever made it conflict.
	// The caller gives back its permit before and takes one after, runs the script again, and
	// calls release when that run has been committed or given up. A second conflict calls
	// Turn again, before release; the first release then does nothing.
	Turn(ctx context.Context) (release func(), err error)
}

// Gate bounds how many executions run at once. *executor.Gate is the real one.
type Gate interface {
	// Enter takes a permit for a caller of app who waits, in order, for a bounded time in a
	// bounded queue; else the error is Overloaded. No app's callers shut out another's.
	Enter(ctx context.Context, app cloud.AppID) error
	// Reenter takes a permit ahead of the app's callers, for a re-run; only ctx bounds the wait.
	Reenter(ctx context.Context, app cloud.AppID) error
	// Exit gives back one permit of Enter or Reenter.
	Exit(app cloud.AppID)
	// TryEnter takes up to n permits for async work, never the last one, and says how many.
	// While callers come, async work leaves a processor clear for them; while they wait, it
	// holds at most three quarters of all permits.
	TryEnter(n int) int
	// Callers reports whether callers came just now, so that more will.
	Callers() bool
	// Leave gives back one permit of TryEnter.
	Leave()
	// Freed has a value after a permit that async work may use became free.
	Freed() <-chan struct{}
}

// Principals says who a user is at this moment, with their rights; the error is NotFound or
// Forbidden when the user is gone or inactive. *control.Control is the real one.
type Principals interface {
	Principal(ctx context.Context, user cloud.UserID) (*cloud.Principal, error)
}

// Scripts finds scripts. The error is NotFound when a script is gone. *control.Control is the
// real one.
type Scripts interface {
	Script(ctx context.Context, id cloud.ScriptID) (*cloud.Script, error)
	// ScriptTx is Script inside a transaction, which can't begin another when the script isn't
	// in memory: nothing is, after a start.
	ScriptTx(rx *db.Rx, id cloud.ScriptID) (*cloud.Script, error)
}

// Where a sync call's row lives.
const (
	SyncMemory = "memory"
	SyncTable  = "table"
)

// Options of New. Gate, Principals and Scripts are required.
type Options struct {
	Gate       Gate
	Principals Principals
	Scripts    Scripts

	Retry      Retry  // DefaultRetry
	MaxDepth   int    // of an execution; events that would run deeper are dropped. 0: 8
	MaxPerApp  int    // most rows of one app that run at once; 0: as many as there are permits
	SyncOutbox string // SyncMemory or SyncTable; "": SyncMemory

	// Accept says why no more async work may be stored at this moment. nil: it always may.
	Accept func() error

	// Quota says what an app may take; it must answer from memory. nil: no quotas.
	Quota func(cloud.AppID) cloud.Quotas

	Senders      map[string]Sender // by the source of the rows that they run
	MaxSends     int               // attempts of Senders at once; 16
	SendTimeout  time.Duration     // of a Sender's attempt; 30 s
	SendRetry    Retry             // of their rows; 17 attempts within about three days
	SendPatience time.Duration     // how long failures that cost no attempt may go on; 7 days

	Deduplication time.Duration // how long a queue knows a deduplication id; 5 minutes

	DeadLetterRetention time.Duration // 30 days
	AbandonedRetention  time.Duration // 7 days
	SweepEvery          time.Duration // 1 hour
	LeaseGrace          time.Duration // how long a lease outlasts the script's time limit; 30 s
	StopGrace           time.Duration // how long an orderly stop waits for what runs; 10 s

	// Synced says whether a time server has set the machine's clock, where the machine knows;
	// nil: it never does. Schedules wait for it, at most for ClockWait; 0: they never wait, not
	// even when the clock is in the past. Epoch is before any true time.
	Synced    func() (synced, known bool)
	ClockWait time.Duration
	Epoch     time.Time

	Now    func() time.Time // the clock that the database uses; time.Now
	Logger *slog.Logger     // slog.Default
}

func (o Options) withDefaults() Options {
	if o.Retry == (Retry{}) {
		o.Retry = DefaultRetry
	}
	o.MaxDepth = cmp.Or(o.MaxDepth, 8)
	o.SyncOutbox = cmp.Or(o.SyncOutbox, SyncMemory)
	o.DeadLetterRetention = cmp.Or(o.DeadLetterRetention, 30*24*time.Hour)
	o.AbandonedRetention = cmp.Or(o.AbandonedRetention, 7*24*time.Hour)
	o.Deduplication = cmp.Or(o.Deduplication, 5*time.Minute)
	o.MaxSends = cmp.Or(o.MaxSends, 16)
	o.SendTimeout = cmp.Or(o.SendTimeout, defaultTimeout)
	o.SendRetry = cmp.Or(o.SendRetry, Retry{MaxAttempts: 17, Backoff: Exponential, BaseMS: 5000})
	o.SendPatience = cmp.Or(o.SendPatience, 7*24*time.Hour)
	o.SweepEvery = cmp.Or(o.SweepEvery, time.Hour)
	o.LeaseGrace = cmp.Or(o.LeaseGrace, 30*time.Second)
	o.StopGrace = cmp.Or(o.StopGrace, 10*time.Second)
	if o.Accept == nil {
		o.Accept = func() error { return nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Outbox is the table of waiting work and everything around it.
type Outbox struct {
	db      *db.DB
	o       Options
	log     *slog.Logger
	runner  Runner
	id      string // of this run of the process; claims carry it
	metrics *metrics

	triggers triggerCache
	lanes    lanes
	cron     cronLoop
	steady   cloud.Steady // the clock, for what deletes
	quotas   quotas
	sending  permits   // of Senders
	drops    chan drop // events over the depth limit, for the log

	// life ends when executions must end too: at the end of an orderly stop.
	life     context.Context
	kill     context.CancelFunc
	stopping atomic.Bool
	serving  atomic.Bool
	callers  atomic.Int64  // that are inside Do
	idle     chan struct{} // has a value after the last caller left while stopping
	workers  workers

	mu       sync.Mutex
	running  map[int64]*row // claimed rows, by n, until they are settled
	stranded []unsettled    // attempts whose end could not be written
}

// New makes the outbox of a database. Before Do or Serve it needs a Runner.
func New(d *db.DB, o Options) *Outbox {
	o = o.withDefaults()
	life, kill := context.WithCancel(context.Background())
	x := &Outbox{
		db:      d,
		o:       o,
		log:     o.Logger,
		id:      cloud.NewID[cloud.ID[Outbox]]().String(),
		drops:   make(chan drop, 64),
		life:    life,
		kill:    kill,
		idle:    make(chan struct{}, 1),
		running: map[int64]*row{},
		workers: workers{rows: make(chan func())},
	}
	x.lanes.init()
	x.sending = newPermits(o.MaxSends)
	x.quotas.of = o.Quota
	x.lanes.room = x.quotas.room
	x.triggers.init()
	x.cron.wake = make(chan struct{}, 1)
	x.cron.clock = clock{synced: o.Synced, wait: o.ClockWait, floor: o.Epoch}
	x.metrics = newMetrics(x)
	return x
}

// SetRunner gives the outbox what runs scripts; it comes after New because the runner's data
// store emits into the outbox.
func (o *Outbox) SetRunner(r Runner) { o.runner = r }

// Serving reports whether the dispatcher runs.
func (o *Outbox) Serving() bool { return o.serving.Load() }

// Forget drops what is cached of an app's triggers. It may be called after a script of the
// app, or the app, was deleted; without it the cache finds out by itself at the next event.
func (o *Outbox) Forget(app cloud.AppID) { o.triggers.drop(app) }

// ForgetApp drops what is kept of an app that was deleted, its series of metrics too.
func (o *Outbox) ForgetApp(app cloud.AppID) {
	o.Forget(app)
	o.metrics.forget(app)
}

// now is the database's clock outside of a transaction.
func (o *Outbox) now() cloud.Time { return cloud.TimeOf(o.o.Now()) }

// defaultTimeout stands in for a script that can't be asked.
const defaultTimeout = 30 * time.Second

// rowTimeoutTx is how long an attempt of a row may take.
func (o *Outbox) rowTimeoutTx(tx *db.Tx, r *row) time.Duration {
	if sends(r.lane) {
		return o.o.SendTimeout
	}
	return timeoutOf(o.o.Scripts.ScriptTx(tx.Rx, r.script))
}

// timeout is a script's time limit.
func (o *Outbox) timeout(ctx context.Context, id cloud.ScriptID) time.Duration {
	return timeoutOf(o.o.Scripts.Script(ctx, id))
}

func timeoutOf(s *cloud.Script, err error) time.Duration {
	if err != nil || s.TimeoutSeconds <= 0 {
		return defaultTimeout
	}
	return time.Duration(s.TimeoutSeconds) * time.Second
}
