package app

import (
	"net"
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// connections is a listener that bounds how many connections are open at once: all together,
// so that files can still be opened for the work, and those of one address, so that one
// machine can't take them all. One too many is closed before anything is read from it.
type connections struct {
	net.Listener
	most, perAddress int
	exempt           func(netip.Addr) bool // from perAddress

	refused prometheus.Counter

	mu   sync.Mutex // guards what follows
	open int
	of   map[netip.Addr]int // exempt ones are not in here
}

// Defaults of the bounds on connections.
const (
	mostConnections       = 16384
	connectionsPerAddress = 512
)

// bounded puts the bounds of the settings on a listener.
func (a *App) bounded(ln net.Listener) net.Listener {
	c := &connections{Listener: ln, most: a.cfg.MaxConnections, perAddress: a.cfg.MaxConnectionsPerAddress, refused: a.metrics.refused, of: map[netip.Addr]int{}}
	if c.most <= 0 {
		c.most = defaultConnections()
	}
	c.exempt = func(addr netip.Addr) bool {
		if addr.IsLoopback() {
			return true
		}
		for _, p := range a.cfg.TrustedProxies {
			if p.Contains(addr) {
				return true
			}
		}
		return false
	}
	return c
}

// defaultConnections leaves half of the files that the process may open to everything else.
func defaultConnections() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return mostConnections
	}
	return int(max(16, min(l.Cur/2, mostConnections)))
}

// Accept waits for the next connection within the bounds.
func (c *connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr := c.address(conn)
		if c.enter(addr) {
			return &heldConn{Conn: conn, leave: sync.OnceFunc(func() { c.leave(addr) })}, nil
		}
		c.refused.Inc()
		conn.Close()
	}
}

// address is what counts as one: of IPv6 the network of 64 bits, in which a host picks
// addresses as it likes. The zero Addr is exempt.
func (c *connections) address(conn net.Conn) netip.Addr {
	ap, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	addr := ap.Addr().Unmap().WithZone("")
	if !addr.IsValid() || c.exempt(addr) {
		return netip.Addr{}
	}
	if addr.Is6() {
		p, _ := addr.Prefix(64) // of a valid IPv6 address
		return p.Addr()
	}
	return addr
}

func (c *connections) enter(addr netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.most || addr.IsValid() && c.of[addr] >= c.perAddress {
		return false
	}
	c.open++
	if addr.IsValid() {
		c.of[addr]++
	}
	return true
}

func (c *connections) leave(addr netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if !addr.IsValid() {
		return
	}
	if c.of[addr]--; c.of[addr] == 0 {
		delete(c.of, addr)
	}
}

// heldConn gives its place back when it is closed.
type heldConn struct {
	net.Conn
	leave func()
}

func (c *heldConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// CloseWrite lets the server end an answer to a request that it doesn't read to its end: else
// the system would reset the connection, and the answer might be lost.
func (c *heldConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
