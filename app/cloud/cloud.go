// Package cloud is the vocabulary of PiCloud: typed ids, apps, scripts, routes, triggers,
// events, invocations, results, principals and errors. It does no I/O.
package cloud

import "encoding/json"

// App is a tenant: it owns scripts, routes, data and triggers.
type App struct {
	ID                    AppID  `json:"id"`
	Slug                  string `json:"slug"` // [a-z0-9-]{2,40}
	Name                  string `json:"name"`
	Description           string `json:"description"`
	CreatedAt             Time   `json:"created_at"`
	UpdatedAt             Time   `json:"updated_at"`
	UnresolvedDeadLetters int    `json:"unresolved_dead_letters"`
}

// Domain is a host that an app has claimed; a host belongs to one app.
type Domain struct {
	ID        DomainID `json:"id"`
	AppID     AppID    `json:"app_id"`
	Host      string   `json:"host"` // lower-case; "*.example.org" for a wildcard
	Kind      string   `json:"kind"` // exact | wildcard
	CreatedAt Time     `json:"created_at"`
}

// Engines that a script may name.
const (
	EngineQuickJS = "quickjs"
	EngineOtto    = "otto"
)

// Isolation of a script's executions from each other.
const (
	IsolationWarm  = "warm"  // contexts are reused, module state may survive
	IsolationFresh = "fresh" // every execution has a context of its own
)

// Limits bound one execution. Zero means the instance's default; a script may ask for
// less than the instance's ceiling, never for more.
type Limits struct {
	Operations  int64 `json:"operations,omitzero"`   // engine operations; what one is differs by engine
	MemoryBytes int64 `json:"memory_bytes,omitzero"` // heap of the engine; otto can't enforce it
	StackBytes  int64 `json:"stack_bytes,omitzero"`
	OutputBytes int64 `json:"output_bytes,omitzero"` // size of the answer
	LogBytes    int64 `json:"log_bytes,omitzero"`
	LogLines    int64 `json:"log_lines,omitzero"`
	Writes      int64 `json:"writes,omitzero"`      // per commit
	WriteBytes  int64 `json:"write_bytes,omitzero"` // per commit
}

// Kinds of scripts.
const (
	KindFunction = "function" // handles requests and events
	KindModule   = "module"   // is imported by others: import x from "app:name"
)

// Script is a user function, or a module that functions share.
type Script struct {
	ID             ScriptID `json:"id"`
	AppID          AppID    `json:"app_id"`
	Name           string   `json:"name"`
	Description    string   `json:"description"`
	Source         string   `json:"source"`
	Kind           string   `json:"kind"` // function | module
	Engine         string   `json:"engine"`
	Isolation      string   `json:"isolation"`
	TimeoutSeconds int      `json:"timeout_seconds"` // wall clock, 1-300
	Limits         Limits   `json:"limits"`
	Version        int      `json:"version"` // counts saves, from 1
	CreatedAt      Time     `json:"created_at"`
	UpdatedAt      Time     `json:"updated_at"`

	AppSlug string  `json:"-"` // for ctx.app
	Imports string  `json:"-"` // names of the modules that its source imports, one a line; only of one that is being saved
	Linked  *Linked `json:"-"` // nil when it imports nothing
}

// Linked are the modules that a script imports, directly or through others, as they are now.
// It is shared: don't change it.
type Linked struct {
	Modules []*Script
	Key     uint64 // differs when any of them differs
	At      Time   // when the latest of them was saved
}

// Dispatch modes of routes and triggers.
const (
	DispatchSync  = "sync"
	DispatchAsync = "async"
)

// Route sends requests for host + path + method to a script.
type Route struct {
	ID            RouteID  `json:"id"`
	AppID         AppID    `json:"app_id"`
	ScriptID      ScriptID `json:"script_id"`
	HostKind      string   `json:"host_kind"` // any | exact | wildcard
	Host          string   `json:"host,omitzero"`
	HostParamName string   `json:"host_param_name,omitzero"`
	PathKind      string   `json:"path_kind"` // exact | param | prefix
	Path          string   `json:"path"`
	Method        string   `json:"method,omitzero"` // upper-case; "" is any
	DispatchMode  string   `json:"dispatch_mode"`
	CreatedAt     Time     `json:"created_at"`
}

// Sources of events.
const (
	SourceHTTP       = "http"
	SourceKV         = "kv"
	SourceDeadLetter = "dead_letter"
	SourceHTTPOut    = "http_out" // a request that http.later stored
	SourceCron       = "cron"
	SourcePubSub     = "pubsub"
	SourceInvoke     = "invoke"
	SourceQueue      = "queue"
)

// Event is something that happened, on its way to the triggers that match it.
type Event struct {
	Source  string          // SourceKV, …
	Op      string          // insert, update, delete, …; the method for http
	Match   string          // what filters look at: the collection of a kv event
	Payload json.RawMessage // the whole ctx.event
}

// Origin is the execution (or the person) that an event comes from.
type Origin struct {
	App       AppID
	Execution ExecutionID // zero when a person did it through the API
	Root      ExecutionID // the first execution of the chain; zero starts a new chain
	Depth     int         // of Execution; the event's executions run one deeper
	Principal UserID      // who caused it, for forensics; zero for the public
}

// Request is the HTTP request a script answers, as ctx.request.
type Request struct {
	Method        string            `json:"method"`
	Host          string            `json:"host"`
	Path          string            `json:"path"`
	URL           string            `json:"url"` // absolute: scheme, host, path and the query as it came
	Params        map[string]string `json:"params"`
	Query         map[string]any    `json:"query"`   // string, or list of strings when repeated
	Headers       map[string]string `json:"headers"` // names in lower case, repeated ones joined with ", "
	Body          json.RawMessage   `json:"body"`    // null when empty
	RawBody       string            `json:"rawBody"` // as received when it is text, base64 when is_base64
	IsBase64      bool              `json:"is_base64,omitzero"`
	Rest          string            `json:"rest"` // what a prefix route left over, without the leading slash
	RemoteAddress string            `json:"remoteAddress"`
}

// Invocation is one run of one script, whatever caused it.
type Invocation struct {
	ID        ExecutionID
	Root      ExecutionID // equals ID for a root execution
	Parent    ExecutionID // the execution whose effect caused this one; zero for a root
	Depth     int
	Attempt   int // from 1
	App       AppID
	Script    ScriptID
	Source    string          // SourceHTTP, …
	Op        string          // of the event; the method for http
	Trigger   TriggerID       // zero for http
	Route     RouteID         // zero unless a route matched
	Row       RowID           // the outbox row; zero for a sync call that is kept in memory
	Key       string          // the idempotency key: the same for every attempt of one event
	Principal *Principal      // nil for the public
	Request   *Request        // for http
	Event     json.RawMessage // ctx.event; nil for http
	Args      json.RawMessage // ctx.args of a script that was invoked; else nil
	Handler   bool            // of a dead letter: one attempt, never dead-lettered
	Async     bool            // nobody waits for it
	Batch     []RowID         // the other rows of a batch, which Row begins
}

// Status of an execution, as the API names it.
type Status string

const (
	StatusQueued   Status = "queued"
	StatusRunning  Status = "running"
	StatusSuccess  Status = "success"
	StatusError    Status = "error"
	StatusTimeout  Status = "timeout"
	StatusBudget   Status = "budget"
	StatusConflict Status = "conflict"
	StatusDead     Status = "dead"
)

// StatusOf is the status of an execution that ended with err.
func StatusOf(err error) Status {
	switch KindOf(err) {
	case "":
		return StatusSuccess
	case Timeout:
		return StatusTimeout
	case BudgetExceeded:
		return StatusBudget
	case Conflict:
		return StatusConflict
	}
	return StatusError
}

// Result is what an execution answered.
type Result struct {
	StatusCode int               // HTTP status; on failure that of the error's kind
	Header     map[string]string // names in lower case
	Body       []byte

	// Err is why the execution failed; nil when it succeeded and when the script answered
	// by HttpError, which counts as handled.
	Err error
	// Trace is the failure as its author sees it: message and stack with positions. It is
	// kept in the execution log and in dead letters, and never answered to the caller.
	Trace *Trace
	// Discard is set when nothing may be committed although Err is nil (HttpError).
	Discard bool
	// Redact hides the secrets that the execution read: what is kept of it goes through it.
	// Trace and Logs have been through it already. nil: it read none.
	Redact func(string) string
	// Reruns counts how often conflicts made the execution start again.
	Reruns int
	// Overran is set when it computed for so long that its thread yields to all others for
	// good: the goroutine that ran it should end soon.
	Overran bool

	ScriptVersion int
	Logs          []LogLine
	Started       Time
	DurationMS    float64
}

// Trace is a script's failure with its position.
type Trace struct {
	Message string `json:"message"`
	Stack   string `json:"stack"`
	File    string `json:"file,omitzero"`
	Line    int    `json:"line,omitzero"`   // from 1
	Column  int    `json:"column,omitzero"` // from 1
}

// LogLine is one line a script logged.
type LogLine struct {
	At      Time            `json:"at"`
	Level   string          `json:"level"` // debug | info | warn | error
	Message string          `json:"message"`
	Fields  json.RawMessage `json:"fields,omitzero"`
	Script  string          `json:"script,omitzero"` // name of the script that logged it, when another one invoked it
}

// Execution is the record of one run, as the API shows it.
type Execution struct {
	ID              ExecutionID     `json:"id"`
	AppID           AppID           `json:"app_id"`
	ScriptID        ScriptID        `json:"script_id"`
	ScriptVersion   int             `json:"script_version"`
	Source          string          `json:"source"`
	Op              string          `json:"op"`
	TriggerID       TriggerID       `json:"trigger_id"`
	RootExecutionID ExecutionID     `json:"root_execution_id"`
	ParentID        ExecutionID     `json:"parent_execution_id"`
	EventID         RowID           `json:"event_id"` // of the outbox row it ran for; null for a sync call
	Depth           int             `json:"depth"`
	Attempt         int             `json:"attempt"`
	Status          Status          `json:"status"`
	StatusCode      int             `json:"status_code"`
	Reruns          int             `json:"reruns"`
	DurationMS      float64         `json:"duration_ms"`
	StartedAt       Time            `json:"started_at"`
	FinishedAt      Time            `json:"finished_at"`
	NextAttemptAt   Time            `json:"next_attempt_at,omitzero"` // of a row that waits for a retry
	DeadLetterID    DeadLetterID    `json:"dead_letter_id,omitzero"`
	Logs            []LogLine       `json:"logs"`
	Error           *Trace          `json:"error"`
	BatchIDs        []RowID         `json:"-"`       // the other events of a batch; only on its way into the log
	Request         json.RawMessage `json:"request"` // for http: method, path, query, and the headers that hold no secrets
	ResponseSummary string          `json:"response_summary"`
}

// Trigger fires a script for events that match its filter.
type Trigger struct {
	ID                    TriggerID `json:"id"`
	AppID                 AppID     `json:"app_id"`
	ScriptID              ScriptID  `json:"script_id"`
	Kind                  string    `json:"kind"` // SourceKV, SourceDeadLetter, …
	Enabled               bool      `json:"enabled"`
	DispatchMode          string    `json:"dispatch_mode"`
	RetryMaxAttempts      int       `json:"retry_max_attempts"`
	RetryBackoff          string    `json:"retry_backoff"` // exponential | linear | constant
	RetryBaseMS           int       `json:"retry_base_ms"`
	RegisteredByPrincipal UserID    `json:"registered_by_principal"`
	CreatedAt             Time      `json:"created_at"`
	UpdatedAt             Time      `json:"updated_at"`

	// The filter: the one of Kind is set.
	KV         *KVFilter         `json:"-"`
	DeadLetter *DeadLetterFilter `json:"-"`
	Cron       *CronFilter       `json:"-"`
	PubSub     *PubSubFilter     `json:"-"`
	Queue      *QueueFilter      `json:"-"`
}

// KVFilter selects kv events.
type KVFilter struct {
	CollectionGlob string   `json:"collection_glob" required:"true"` // "*", "prefix*" or exact
	Ops            []string `json:"ops"`                             // insert, update, delete; empty is any
}

// DeadLetterFilter selects dead letters; a zero field selects all.
type DeadLetterFilter struct {
	SourceFilter    string    `json:"source_filter"`
	TriggerIDFilter TriggerID `json:"trigger_id_filter"`
	ScriptIDFilter  ScriptID  `json:"script_id_filter"`
}

// CronFilter is when a cron trigger fires.
type CronFilter struct {
	Schedule           string `json:"schedule" required:"true"` // five or six fields of crontab, @daily, @every 10m, …
	Timezone           string `json:"timezone"`                 // IANA name; "" is UTC
	CatchUp            string `json:"catch_up"`                 // of ticks that were missed: none | last | all; "" is none
	MaxLatenessSeconds int    `json:"max_lateness_seconds"`     // a tick that is later counts as missed; 0 is 60
	NextAt             Time   `json:"-"`                        // the next tick; zero while the trigger is disabled
}

// PubSubFilter selects published messages.
type PubSubFilter struct {
	Topic string `json:"topic" required:"true"` // "*", "prefix*" or exact
}

// QueueFilter says which queue a trigger consumes, and how.
type QueueFilter struct {
	Name                     string `json:"queue" required:"true"`      // of the queue, which has one trigger
	BatchSize                int    `json:"batch_size"`                 // most messages of one execution, 1-100
	Concurrency              int    `json:"concurrency"`                // most executions at once, 1-1024
	VisibilityTimeoutSeconds int    `json:"visibility_timeout_seconds"` // how long an execution may hold its messages; 0: the script's time limit and some grace
}

// Queue is what waits under one name, as the API shows it.
type Queue struct {
	Name      string    `json:"name"`
	Length    int       `json:"length"`    // messages in all
	InFlight  int       `json:"in_flight"` // that an execution holds
	Delayed   int       `json:"delayed"`   // that are not due yet
	OldestAt  Time      `json:"oldest_at"` // when the first of them was sent; null when there are none
	Paused    bool      `json:"paused"`
	TriggerID TriggerID `json:"trigger_id"` // that consumes the queue; null when none does
}

// QueueMessage is one message of a queue, as the API shows it.
type QueueMessage struct {
	ID            RowID           `json:"id"`
	Queue         string          `json:"queue"`
	Body          json.RawMessage `json:"body"`
	Key           string          `json:"key,omitzero"`
	State         string          `json:"state"` // waiting | running | retrying
	AttemptCount  int             `json:"attempt_count"`
	Attempts      []Attempt       `json:"attempts"`
	NextAttemptAt Time            `json:"next_attempt_at"`
	EnqueuedAt    Time            `json:"enqueued_at"`
}

// Attempt is one entry of the history that outbox rows and dead letters keep.
type Attempt struct {
	At          Time        `json:"at"`
	ExecutionID ExecutionID `json:"execution_id"`
	DurationMS  float64     `json:"duration_ms"`
	Error       string      `json:"error"`
}

// Row is one entry of the outbox, as the API shows it.
type Row struct {
	ID              RowID       `json:"id"`
	AppID           AppID       `json:"app_id"`
	Lane            string      `json:"lane,omitzero"` // queue:NAME or http:HOST; "" for ordinary rows
	Key             string      `json:"key,omitzero"`  // rows of one lane and key run in order
	Source          string      `json:"source"`
	Op              string      `json:"op"`
	TriggerID       TriggerID   `json:"trigger_id"`
	ScriptID        ScriptID    `json:"script_id"`
	State           string      `json:"state"` // waiting | running | retrying
	Depth           int         `json:"depth"`
	RootExecutionID ExecutionID `json:"root_execution_id"`
	AttemptCount    int         `json:"attempt_count"`
	Attempts        []Attempt   `json:"attempts"`
	NextAttemptAt   Time        `json:"next_attempt_at"`
	ClaimedAt       Time        `json:"claimed_at"`
	LeaseUntil      Time        `json:"lease_until"`
	CreatedAt       Time        `json:"created_at"`
}

// DeadLetter is a row that used up its attempts.
type DeadLetter struct {
	ID              DeadLetterID    `json:"id"`
	AppID           AppID           `json:"app_id"`
	OriginalEventID RowID           `json:"original_event_id"`
	Source          string          `json:"source"`
	Op              string          `json:"op"`
	TriggerID       TriggerID       `json:"trigger_id"`
	ScriptID        ScriptID        `json:"script_id"`
	Payload         json.RawMessage `json:"payload"`
	Depth           int             `json:"depth"`
	RootExecutionID ExecutionID     `json:"root_execution_id"`
	AttemptCount    int             `json:"attempt_count"`
	Attempts        []Attempt       `json:"attempts"`
	FirstAttemptAt  Time            `json:"first_attempt_at"`
	LastAttemptAt   Time            `json:"last_attempt_at"`
	LastError       string          `json:"last_error"`
	CreatedAt       Time            `json:"created_at"`
	ResolvedAt      Time            `json:"resolved_at"` // null while it is open
	Resolution      string          `json:"resolution,omitzero"`
	Reason          string          `json:"reason,omitzero"`
}

// Abandoned is a result that nobody waited for any more.
type Abandoned struct {
	ID            AbandonedID `json:"id"`
	AppID         AppID       `json:"app_id"`
	ExecutionID   ExecutionID `json:"execution_id"`
	ScriptID      ScriptID    `json:"script_id"`
	StatusCode    int         `json:"status_code"`
	ResultSummary string      `json:"result_summary"`
	CreatedAt     Time        `json:"created_at"`
}

// User is a person who operates the instance.
type User struct {
	ID           UserID       `json:"id"`
	Username     string       `json:"username"`
	InstanceRole InstanceRole `json:"instance_role"`
	IsActive     bool         `json:"is_active"`
	CreatedAt    Time         `json:"created_at"`
}

// Key is an API key without its secret.
type Key struct {
	ID         KeyID   `json:"id"`
	UserID     UserID  `json:"user_id"`
	Name       string  `json:"name"`
	Prefix     string  `json:"prefix"` // the 8 characters after "pic_"
	Scopes     []Scope `json:"scopes"`
	AppID      AppID   `json:"app_id"` // null unless bound to one app
	ExpiresAt  Time    `json:"expires_at"`
	LastUsedAt Time    `json:"last_used_at"`
	CreatedAt  Time    `json:"created_at"`
}

// Session is a login, without its secret.
type Session struct {
	ID         SessionID `json:"id"`
	UserID     UserID    `json:"user_id"`
	Address    string    `json:"address"`
	UserAgent  string    `json:"user_agent"`
	CreatedAt  Time      `json:"created_at"`
	LastUsedAt Time      `json:"last_used_at"`
	ExpiresAt  Time      `json:"expires_at"`
	Current    bool      `json:"current"`
}

// AuditEntry says who did what to which resource, when and from where.
type AuditEntry struct {
	ID       AuditID `json:"id"`
	AppID    AppID   `json:"app_id"`
	UserID   UserID  `json:"user_id"`
	Username string  `json:"username"`
	KeyID    KeyID   `json:"key_id"`
	Action   string  `json:"action"`   // such as "script.update"
	Resource string  `json:"resource"` // id of what was changed
	Detail   string  `json:"detail"`   // never secrets or sources
	Address  string  `json:"address"`
	At       Time    `json:"at"`
}

// Page asks for a part of a list. Limit is 1-200 (0: 50); Cursor is what the page before
// answered as next, "" for the first.
type Page struct {
	Limit  int
	Cursor string
}

// Bounds of lists (API.md).
const (
	DefaultPage = 50
	MaxPage     = 200
)

// Clamp returns the page's limit within its bounds.
func (p Page) Clamp() int {
	switch {
	case p.Limit <= 0:
		return DefaultPage
	case p.Limit > MaxPage:
		return MaxPage
	}
	return p.Limit
}

// Quotas bound what one app may take of the machine; zero is unlimited.
type Quotas struct {
	KVBytes              int64 `json:"kv_bytes"`
	OutboxRows           int64 `json:"outbox_rows"`
	ExecutionsPerMinute  int64 `json:"executions_per_minute"`
	ConcurrentExecutions int64 `json:"concurrent_executions"`
}
