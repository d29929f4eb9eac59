package outbound

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
)

// Bounds of the connections that are kept.
const (
	maxWays        = 256 // apps
	idlePerHost    = 4
	idlePerApp     = 16
	idleTimeout    = 30 * time.Second
	connectTimeout = 10 * time.Second
	maxHeaderBytes = 64 << 10 // of a response
)

// ways are the transports of the apps that called out lately.
type ways struct {
	mu  sync.Mutex // guards all
	all map[cloud.AppID]*way
}

// way is one app's transport, under the allow list that it was made with.
type way struct {
	entries   []string
	transport *http.Transport
	used      time.Time
}

// way finds or makes the transport of an app. Another allow list makes another one, so that
// no connection outlives the permission that it was opened with.
func (c *Client) way(app cloud.AppID) *way {
	entries := c.o.AllowOf(app)
	c.ways.mu.Lock()
	defer c.ways.mu.Unlock()
	w := c.ways.all[app]
	if w == nil || !slices.Equal(w.entries, entries) {
		if w != nil {
			w.transport.CloseIdleConnections()
		}
		if w = c.newWay(app, entries); c.ways.all == nil {
			c.ways.all = map[cloud.AppID]*way{}
		}
		c.ways.makeRoomLocked()
		c.ways.all[app] = w
	}
	w.used = time.Now()
	return w
}

func (s *ways) makeRoomLocked() {
	for len(s.all) >= maxWays {
		var oldest cloud.AppID
		for app, w := range s.all {
			if o := s.all[oldest]; o == nil || w.used.Before(o.used) {
				oldest = app
			}
		}
		s.dropLocked(oldest)
	}
}

func (s *ways) dropLocked(app cloud.AppID) {
	if w := s.all[app]; w != nil {
		w.transport.CloseIdleConnections()
		delete(s.all, app)
	}
}

// Forget closes what is kept for an app that was deleted, and drops its series of metrics.
func (c *Client) Forget(app cloud.AppID) {
	c.requests.DeletePartialMatch(prometheus.Labels{"app": app.String()})
	c.ways.mu.Lock()
	defer c.ways.mu.Unlock()
	c.ways.dropLocked(app)
}

// CloseIdle closes every connection that nothing uses.
func (c *Client) CloseIdle() {
	c.ways.mu.Lock()
	defer c.ways.mu.Unlock()
	for app := range c.ways.all {
		c.ways.dropLocked(app)
	}
}

// newWay makes a transport. It knows no proxy: one from the environment would connect in our
// place, past the guard.
func (c *Client) newWay(app cloud.AppID, entries []string) *way {
	allow, err := ParseAllow(entries)
	if err != nil { // it was checked when it was stored
		c.o.Logger.Warn("an app's outbound allow list can't be read: it allows nothing", "app", app, "err", err)
	}
	return &way{entries: entries, transport: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return c.dial(ctx, network, addr, allow)
		},
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    connectTimeout,
		MaxIdleConns:           idlePerApp,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}}
}

// dial connects to addr, a host and a port. The guard sits in Control, which is given each
// address that the host was resolved to right before the connection is made to just that
// address: a name that resolves to something else the next time can't get past it.
func (c *Client) dial(ctx context.Context, network, addr string, allow *Allow) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: connectTimeout, Resolver: c.o.Resolver, Control: func(_, resolved string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(resolved)
		if err != nil {
			return err
		}
		return check(host, a.Addr(), c.o.Allow, allow)
	}}
	return d.DialContext(ctx, network, addr)
}
