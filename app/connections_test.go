package app

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fakeListener accepts connections from the addresses it is told.
type fakeListener struct {
	net.Listener
	from []string
}

type fakeConn struct {
	net.Conn
	from   string
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}

func (c *fakeConn) CloseWrite() error { return errOver }

func (c *fakeConn) Close() error { c.closed = true; return nil }

var errOver = errors.New("over")

func (l *fakeListener) Accept() (net.Conn, error) {
	if len(l.from) == 0 {
		return nil, errOver
	}
	c := &fakeConn{from: l.from[0]}
	l.from = l.from[1:]
	return c, nil
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	l := &fakeListener{}
	c := &connections{
		Listener: l, most: 6, perAddress: 2, of: map[netip.Addr]int{},
		exempt:  func(a netip.Addr) bool { return a.IsLoopback() },
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "refused"}),
	}
	accept := func(from ...string) (conns []net.Conn) {
		l.from = from
		for {
			conn, err := c.Accept()
			if err != nil {
				return conns
			}
			conns = append(conns, conn)
		}
	}
	accepted := func(conns []net.Conn) string {
		var all []string
		for _, conn := range conns {
			all = append(all, conn.RemoteAddr().String())
		}
		return strings.Join(all, " ")
	}
	first := accept("9.0.0.1:1", "9.0.0.1:2", "9.0.0.1:3", "[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3")
	if got, want := accepted(first), "9.0.0.1:1 9.0.0.1:2 [2001:db8::1]:1 [2001:db8::2]:1 127.0.0.1:1 127.0.0.1:2"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if got := testutil.ToFloat64(c.refused); got != 3 {
		t.Errorf("%v are counted as refused, want 3", got)
	}
	if err := first[0].(interface{ CloseWrite() error }).CloseWrite(); err != errOver {
		t.Errorf("CloseWrite is not passed on: %v", err)
	}
	first[0].Close()
	first[0].Close() // gives back one place only
	if got, want := accepted(accept("9.0.0.1:4", "9.0.0.1:5", "8.0.0.1:1")), "9.0.0.1:4"; got != want {
		t.Errorf("after one left: got %s, want %s", got, want)
	}
	for _, conn := range first[1:] {
		conn.Close()
	}
	if c.open != 1 || len(c.of) != 1 {
		t.Errorf("%d are open, of %d addresses", c.open, len(c.of))
	}
}
