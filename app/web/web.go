// Package web is every HTTP door of the instance: the routes of scripts, the admin API, the
// dashboard, server-sent events, health and metrics.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
	"picloud/app/control"
	"picloud/app/data"
	"picloud/app/deploy"
	"picloud/app/executor"
	"picloud/app/outbound"
	"picloud/app/outbox"
)

// Options of New. The stores are needed; the zero value of everything else works.
type Options struct {
	Control *control.Control
	Outbox  *outbox.Outbox
	Data    *data.Store
	Secrets *data.Secrets

	Breakers *outbound.Breakers // of the hosts that stored requests go to
	Log      *executor.Log

	Deployer *deploy.Deployer

	Registry prometheus.Gatherer // what /metrics shows; nil: nothing
	Logger   *slog.Logger        // slog.Default()
	Version  Version

	MaxBodyBytes   int64          // largest request body for a script; 1 MiB
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-* headers are believed
	TLS            bool           // this process serves HTTPS itself
	NoSlugRoutes   bool           // don't serve /~app/…
	SessionTTL     time.Duration  // how long a browser keeps the cookie; 0: until it closes

	// Ready says why the instance can't work, nil when it can.
	Ready func(context.Context) error
	// System fills in what only the whole machine knows: sizes, gate, replication, warnings.
	System func(context.Context, *System) error
	// Portable exports, imports and rewinds apps; nil refuses to.
	Portable *Portable
	// Backup does what only the whole machine can do with copies of the database; nil: nothing.
	Backup *Backup
	// Now is the clock; time.Now.
	Now func() time.Time
}

// Version is the answer of GET /version.
type Version struct {
	Product string `json:"product"`
	API     int    `json:"api"`
	SDK     string `json:"sdk"`
	Schema  int    `json:"schema"`
	Commit  string `json:"commit"`
}

// Server answers HTTP requests.
type Server struct {
	Options
	log       *slog.Logger
	endpoints []endpoint
	mux       *http.ServeMux // of the API, matched by hand so that every answer is JSON
	openapi   []byte
	dashboard *dashboard
	metrics   http.Handler
	streams   chan struct{} // a place for each open stream
	copies    chan struct{} // a place for each copy of the database that is downloaded
	heartbeat time.Duration // between signs of life on a stream
	beats     beats         // of the streams of topics
	sending   atomic.Int64  // bytes of answers that wait for their readers

	stop     sync.Once
	stopping chan struct{} // closed when streams must end
}

// New makes a server. It panics when the endpoint table contradicts itself.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxBodyBytes <= 0 {
		o.MaxBodyBytes = 1 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Portable == nil {
		o.Portable = noPortable
	}
	if o.Backup == nil {
		o.Backup = noBackup
	}
	if o.Version.API == 0 {
		o.Version.API = 1
	}
	s := &Server{Options: o, log: o.Logger, streams: make(chan struct{}, maxStreams), copies: make(chan struct{}, downloads), heartbeat: defaultHeartbeat, stopping: make(chan struct{})}
	s.endpoints = s.api()
	s.mux = s.apiMux()
	s.openapi = openAPI(s.endpoints, o.Version)
	s.dashboard = newDashboard()
	s.metrics = metricsHandler(o.Registry)
	return s
}

// Bounds of slow or silent peers.
const (
	headerTimeout  = 10 * time.Second
	readTimeout    = time.Minute      // of a whole request, so a body can't trickle in for ever
	writeTimeout   = 10 * time.Minute // from the request's header to the end of the answer: a script has 300 s
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

// ConfigureServer sets h's handler and timeouts. Event streams opt out and bound each write
// themselves.
func (s *Server) ConfigureServer(h *http.Server) {
	h.Handler = s.Handler()
	h.ReadHeaderTimeout = headerTimeout
	h.ReadTimeout = readTimeout
	h.WriteTimeout = writeTimeout
	h.IdleTimeout = idleTimeout
	h.MaxHeaderBytes = maxHeaderBytes
	h.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	h.RegisterOnShutdown(s.EndStreams)
}

// EndStreams ends every open event stream, so that a shutdown need not wait for them.
func (s *Server) EndStreams() { s.stop.Do(func() { close(s.stopping) }) }

// Handler is the one door: reserved paths first, then the routes of scripts.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recover(w, r)
		switch place(r) {
		case placeUser:
			s.ingress(w, r)
		case placeSystem:
			s.system(w, r)
		default:
			s.fail(w, r, cloud.Errorf(cloud.BadRequest, "the path reaches a reserved prefix in a roundabout way: write it without //, dots and escapes"))
		}
	})
}

// Where a path leads.
const (
	placeUser = iota
	placeSystem
	placeOdd
)

// place decides by what is written in the request line and by what it means once decoded and
// cleaned. Only a path that plainly starts with a reserved prefix is the system's; one that
// merely amounts to it (//api, /%61pi, /~x/../admin) is nobody's.
func place(r *http.Request) int {
	escaped := r.URL.EscapedPath()
	if reserved(escaped) {
		return placeSystem
	}
	decoded := r.URL.Path
	if reserved(decoded) || reserved(path.Clean(decoded)) {
		return placeOdd
	}
	return placeUser
}

// reserved reports whether p is, or lies under, a prefix that no route may take. What
// follows /~ is the app's own part and belongs to the routes.
func reserved(p string) bool {
	if len(p) < 4 || p[0] != '/' {
		return false
	}
	switch p[1] {
	case 'a':
		return under(p, "/api") || under(p, "/admin")
	case 'h':
		return under(p, "/healthz")
	case 'm':
		return under(p, "/metrics")
	case 'r':
		return under(p, "/readyz") || under(p, "/realtime")
	case 'v':
		return under(p, "/version")
	}
	return false
}

func under(p, prefix string) bool {
	rest, ok := strings.CutPrefix(p, prefix)
	return ok && (rest == "" || rest[0] == '/')
}
