package web

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"picloud/app/cloud"
)

// system serves everything under a reserved prefix.
func (s *Server) system(w http.ResponseWriter, r *http.Request) {
	if s.https(r) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	}
	p := r.URL.EscapedPath()
	switch {
	case under(p, "/api"):
		s.serveAPI(w, r)
	case under(p, "/admin"):
		s.dashboard.serve(s, w, r)
	case under(p, realtimePrefix):
		s.realtime(w, r, "", p)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuseMethod(s, w, r, readOnly)
	default:
		s.plain(w, r, p)
	}
}

func (s *Server) plain(w http.ResponseWriter, r *http.Request, path string) {
	switch path {
	case "/healthz":
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	case "/readyz":
		s.readyz(w, r)
	case "/version":
		writeJSON(w, http.StatusOK, s.Version)
	case "/metrics":
		s.serveMetrics(w, r)
	default:
		s.fail(w, r, cloud.Errorf(cloud.NotFound, "nothing is served here"))
	}
}

// readyTimeout bounds the checks of /readyz.
const readyTimeout = 5 * time.Second

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if s.Ready != nil {
		if err := s.Ready(ctx); err != nil {
			s.log.Warn("not ready", "error", err)
			s.fail(w, r, cloud.Errorf(cloud.Overloaded, "not ready: %s", cloud.Message(err)))
			return
		}
	}
	writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}

func metricsHandler(g prometheus.Gatherer) http.Handler {
	if g == nil {
		g = prometheus.NewRegistry()
	}
	return promhttp.HandlerFor(g, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}

// serveMetrics answers a scraper on this machine, and keys that may read every app's logs.
func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) {
	if !local(r) {
		who, err := s.principal(r.Context(), r)
		if err == nil && !readsAllLogs(who) {
			err = cloud.Errorf(cloud.Forbidden, "metrics need an unbound API key of an instance administrator with the scope %s", cloud.ScopeLogRead)
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
	}
	secure(w.Header())
	s.metrics.ServeHTTP(w, r)
}

// readsAllLogs: metrics name every app, so the key must be of somebody who may know them all.
func readsAllLogs(p *cloud.Principal) bool {
	return !p.Key.IsZero() && p.App.IsZero() && (p.Role == cloud.Owner || p.Role == cloud.Admin) && p.Can(cloud.LogRead, cloud.AppID{})
}

// forwarding headers show that a proxy on this machine speaks for somebody else, or a script.
var forwarding = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server", "X-Real-Ip", "Via", "X-Picloud-Hops"}

func local(r *http.Request) bool {
	if !peer(r).IsLoopback() {
		return false
	}
	for _, h := range forwarding {
		if len(r.Header[h]) > 0 {
			return false
		}
	}
	return true
}

// System is the answer of GET /system.
type System struct {
	Version       Version           `json:"version"`
	StartedAt     cloud.Time        `json:"started_at"`
	UptimeSeconds float64           `json:"uptime_seconds"`
	GoVersion     string            `json:"go_version"`
	Platform      string            `json:"platform"`
	CPUs          int               `json:"cpus"`
	MemoryBytes   uint64            `json:"memory_bytes"` // that the process got from the machine
	Goroutines    int               `json:"goroutines"`
	Engines       []string          `json:"engines"`
	Durability    string            `json:"durability"`
	Database      SystemDatabase    `json:"db"`
	Wear          SystemWear        `json:"wear"`
	Gate          SystemGate        `json:"gate"`
	Outbox        SystemOutbox      `json:"outbox"`
	Replication   SystemReplication `json:"replication"`
	Warnings      []string          `json:"warnings"` // of the disk, the clock, the configuration
}

// SystemDatabase is what the files take and what the disk has left, in bytes.
type SystemDatabase struct {
	StateBytes    int64 `json:"state_bytes"`
	WALBytes      int64 `json:"wal_bytes"`
	LogsBytes     int64 `json:"logs_bytes"`
	DiskFreeBytes int64 `json:"disk_free_bytes"`
	DiskSizeBytes int64 `json:"disk_size_bytes"`
}

// SystemWear is what the instance has written to its files since it was started, and who
// caused it: flash storage wears out by writing.
type SystemWear struct {
	Bytes        int64       `json:"bytes"`
	Fsyncs       int64       `json:"fsyncs"`
	BytesPerHour int64       `json:"bytes_per_hour"` // on average since the start
	Files        []FileWear  `json:"files"`
	Apps         []CauseWear `json:"apps"`     // those that wrote most, the others and the platform: together all commits
	Scripts      []CauseWear `json:"scripts"`  // those that wrote most
	Triggers     []CauseWear `json:"triggers"` // those that wrote most
}

// FileWear is what SQLite has written to a database and its write-ahead log.
type FileWear struct {
	File             string `json:"file"`
	CommitBytes      int64  `json:"commit_bytes"`
	CommitFsyncs     int64  `json:"commit_fsyncs"`
	CheckpointBytes  int64  `json:"checkpoint_bytes"` // moved from the log into the file
	CheckpointFsyncs int64  `json:"checkpoint_fsyncs"`
}

// CauseWear is the part of an app, a script or a trigger in what commits wrote. Several share
// a commit's fsync.
type CauseWear struct {
	Name       string          `json:"name"`
	AppID      cloud.AppID     `json:"app_id"`
	ScriptID   cloud.ScriptID  `json:"script_id"`
	TriggerID  cloud.TriggerID `json:"trigger_id"`
	Bytes      int64           `json:"bytes"`
	StateBytes int64           `json:"state_bytes"`
	LogsBytes  int64           `json:"logs_bytes"`
	Fsyncs     float64         `json:"fsyncs"`
}

// SystemGate is how many executions run and wait.
type SystemGate struct {
	Capacity int `json:"capacity"`
	InUse    int `json:"in_use"`
	Waiting  int `json:"waiting"`
}

// SystemOutbox is the work that waits, and the letters that nobody has looked at.
type SystemOutbox struct {
	Waiting               int     `json:"waiting"`
	Running               int     `json:"running"`
	Retrying              int     `json:"retrying"`
	OldestDueSeconds      float64 `json:"oldest_due_seconds"`
	UnresolvedDeadLetters int     `json:"unresolved_dead_letters"`
}

// SystemReplication is the state of the second copy.
type SystemReplication struct {
	State        string        `json:"state"`  // off | outside | ok | behind | failing
	Reason       string        `json:"reason"` // why it is off or outside
	Target       string        `json:"target"`
	LagSeconds   float64       `json:"lag_seconds"`  // age of the oldest commit that the target doesn't have
	LastSyncAt   cloud.Time    `json:"last_sync_at"` // of the last call to the target that succeeded
	LastError    string        `json:"last_error"`
	LastErrorAt  cloud.Time    `json:"last_error_at"`
	TXID         string        `json:"txid"`        // of the database, as far as it is staged
	TargetTXID   string        `json:"target_txid"` // of the target; empty when not known
	StagedFiles  int           `json:"staged_files"`
	StagedBytes  int64         `json:"staged_bytes"`
	Lease        SystemLease   `json:"lease"`
	Verification *Verification `json:"verification"` // the last one
	Verifying    bool          `json:"verifying"`
}

// SystemLease is who may write to the target.
type SystemLease struct {
	Supported bool       `json:"supported"` // the target knows leases
	Held      bool       `json:"held"`      // by this instance
	Owner     string     `json:"owner"`
	ExpiresAt cloud.Time `json:"expires_at"` // renewed before the next write
}

// Verification is a trial of the second copy: it was restored to a temporary file and checked.
type Verification struct {
	At        cloud.Time  `json:"at"`
	OK        bool        `json:"ok"`
	Error     string      `json:"error"`
	Seconds   float64     `json:"seconds"`
	TXID      string      `json:"txid"`
	StateOf   cloud.Time  `json:"state_of"` // what was restored
	BytesRead int64       `json:"bytes_read"`
	Rows      int64       `json:"rows"`
	Tables    []TableRows `json:"tables"`
}

// TableRows counts the rows of a table.
type TableRows struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

func (s *Server) getSystem(ctx context.Context, q *request, _ none) (*System, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	sys := &System{
		Version: s.Version, GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CPUs: runtime.NumCPU(), MemoryBytes: m.Sys, Goroutines: runtime.NumGoroutine(),
		Replication: SystemReplication{State: "off"},
	}
	stats, err := s.Outbox.Stats(ctx)
	if err != nil {
		return nil, err
	}
	sys.Outbox = SystemOutbox{Waiting: stats.Waiting, Running: stats.Running, Retrying: stats.Retrying, OldestDueSeconds: stats.OldestDueSeconds}
	for _, n := range stats.Unresolved {
		sys.Outbox.UnresolvedDeadLetters += n
	}
	if s.System != nil {
		if err := s.System(ctx, sys); err != nil {
			return nil, err
		}
	}
	sys.Engines, sys.Warnings = nonNil(sys.Engines), nonNil(sys.Warnings)
	w := &sys.Wear
	w.Files, w.Apps, w.Scripts, w.Triggers = nonNil(w.Files), nonNil(w.Apps), nonNil(w.Scripts), nonNil(w.Triggers)
	return sys, nil
}
