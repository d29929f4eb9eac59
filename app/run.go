package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"picloud/app/mdns"
)

// drain is how long requests and running scripts may take to end once the instance stops.
const drain = 10 * time.Second

// Run serves until ctx ends, then stops in order: no more connections, running requests
// and executions end (at most 10 s), the log is flushed, the files are closed.
func (a *App) Run(ctx context.Context) error {
	ln, err := net.Listen("tcp", a.cfg.Listen)
	if err != nil {
		err = fmt.Errorf("PICLOUD_LISTEN=%s: want HOST:PORT or :PORT with a port that no other program uses: %w", a.cfg.Listen, err)
		return errors.Join(err, a.Close())
	}
	return a.serve(ctx, ln)
}

// serve is Run on a listener, which it closes.
func (a *App) serve(ctx context.Context, ln net.Listener) (err error) {
	defer func() { err = errors.Join(err, a.Close()) }()
	server := &http.Server{TLSConfig: a.tlsConfig()}
	a.web.ConfigureServer(server)
	a.announce(ctx, ln.Addr())
	if a.cfg.Serving != nil {
		a.cfg.Serving(ln.Addr()) // connections wait in the listener until there is somebody to answer
	}
	// Hashing the owner's password and compiling the starter took memory that a resting
	// instance has no use for.
	debug.FreeOSMemory()
	// The log outlives the others: what they record while they stop is flushed too. So does the
	// second copy: what they commit then is uploaded.
	log := start(context.WithoutCancel(ctx), a.executions.Serve, a.replication.serve)
	watch := newSupervisor(a.ready, a.log)
	loops := start(context.WithoutCancel(ctx), a.outbox.Serve, a.data.Serve, watch.Serve)
	doors := start(context.WithoutCancel(ctx), func(context.Context) error { return a.serveHTTP(server, a.bounded(ln)) })
	found := start(context.WithoutCancel(ctx), a.beFound(ln.Addr())...)

	select {
	case <-ctx.Done():
		a.log.Info("stopping")
	case <-log.failed:
	case <-loops.failed:
	case <-doors.failed:
	}
	watch.stopping()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		a.log.Warn("requests were still running at the end of the drain time", "err", err)
		server.Close()
	}
	err = errors.Join(found.stop(), doors.stop(), loops.stop(), log.stop())
	if err == nil {
		a.log.Info("stopped")
	}
	return err
}

func (a *App) serveHTTP(server *http.Server, ln net.Listener) error {
	var err error
	switch {
	case a.cfg.TLSCert != "":
		err = server.ServeTLS(ln, a.cfg.TLSCert, a.cfg.TLSKey)
	case len(a.cfg.ACMEDomains) > 0:
		err = server.ServeTLS(ln, "", "")
	default:
		err = server.Serve(ln)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve HTTP: %w", err)
}

// beFound is the loop that answers for the instance's name on the local network, or none
// where only this machine can connect or the operator wants none.
func (a *App) beFound(addr net.Addr) []func(context.Context) error {
	tcp, ok := addr.(*net.TCPAddr)
	if !a.cfg.MDNS || !ok || tcp.IP.IsLoopback() {
		return nil
	}
	return []func(context.Context) error{mdns.New(mdns.Options{Name: a.cfg.MDNSName, Logger: a.log}).Serve}
}

// tls reports whether this process serves HTTPS itself.
func (c *Config) tls() bool { return c.TLSCert != "" || len(c.ACMEDomains) > 0 }

// group is some loops that run together.
type group struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	failed chan struct{} // closed when a loop ended by itself

	mu   sync.Mutex // guards errs
	errs []error
}

func start(ctx context.Context, loops ...func(context.Context) error) *group {
	g := &group{failed: make(chan struct{})}
	ctx, g.cancel = context.WithCancel(ctx)
	var once sync.Once
	for _, serve := range loops {
		g.done.Go(func() {
			err := serve(ctx)
			if ctx.Err() == nil {
				once.Do(func() { close(g.failed) })
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				g.mu.Lock()
				g.errs = append(g.errs, err)
				g.mu.Unlock()
			}
		})
	}
	return g
}

// stop ends the loops and waits for them.
func (g *group) stop() error {
	g.cancel()
	g.done.Wait()
	return errors.Join(g.errs...)
}
