package mdns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const port = 5353

var (
	group4 = net.IPv4(224, 0, 0, 251)
	group6 = net.ParseIP("ff02::fb")
)

// session is the sockets on the networks as they were when it was opened.
type session struct {
	nets   []iface
	port   int
	v4     *ipv4.PacketConn // nil without IPv4
	v6     *ipv6.PacketConn // nil without IPv6
	rival  chan struct{}    // capacity 1: somebody else claims the name
	failed chan struct{}    // closed when no more can be read
	done   sync.WaitGroup
	once   sync.Once

	mu     sync.Mutex // guards what follows
	name   string
	held   bool // false while probing
	said   map[int]time.Time
	reason error
}

// listen joins the group on each of the networks.
func listen(nets []iface, port int) (*session, error) {
	s := &session{nets: nets, port: port, rival: make(chan struct{}, 1), failed: make(chan struct{}), said: map[int]time.Time{}}
	err4, err6 := s.listen4(), s.listen6()
	if s.v4 == nil && s.v6 == nil {
		return nil, errors.Join(err4, err6)
	}
	if s.v4 != nil {
		s.done.Go(func() {
			s.read(func(b []byte) (n, index int, from net.Addr, err error) {
				n, cm, from, err := s.v4.ReadFrom(b)
				if cm != nil {
					index = cm.IfIndex
				}
				return n, index, from, err
			})
		})
	}
	if s.v6 != nil {
		s.done.Go(func() {
			s.read(func(b []byte) (n, index int, from net.Addr, err error) {
				n, cm, from, err := s.v6.ReadFrom(b)
				if cm != nil {
					index = cm.IfIndex
				}
				return n, index, from, err
			})
		})
	}
	return s, nil
}

// shared lets others, such as Avahi, listen beside us.
var shared = net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
	var err error
	if cerr := c.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}); cerr != nil {
		return cerr
	}
	return err
}}

func (s *session) listen4() error {
	c, err := shared.ListenPacket(context.Background(), "udp4", ":"+strconv.Itoa(s.port))
	if err != nil {
		return err
	}
	p := ipv4.NewPacketConn(c)
	joined := 0
	for _, n := range s.nets {
		if slices.ContainsFunc(n.prefixes, func(p netip.Prefix) bool { return p.Addr().Is4() }) {
			if err = p.JoinGroup(&net.Interface{Index: n.index}, &net.UDPAddr{IP: group4}); err == nil {
				joined++
			}
		}
	}
	if joined > 0 {
		err = errors.Join(p.SetControlMessage(ipv4.FlagInterface, true), p.SetMulticastTTL(255), p.SetMulticastLoopback(true))
	}
	if joined == 0 || err != nil {
		return errors.Join(err, p.Close())
	}
	s.v4 = p
	return nil
}

func (s *session) listen6() error {
	c, err := shared.ListenPacket(context.Background(), "udp6", "[::]:"+strconv.Itoa(s.port))
	if err != nil {
		return err
	}
	p := ipv6.NewPacketConn(c)
	joined := 0
	for _, n := range s.nets {
		if slices.ContainsFunc(n.prefixes, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
			if err = p.JoinGroup(&net.Interface{Index: n.index}, &net.UDPAddr{IP: group6}); err == nil {
				joined++
			}
		}
	}
	if joined > 0 {
		err = errors.Join(p.SetControlMessage(ipv6.FlagInterface, true), p.SetMulticastHopLimit(255), p.SetMulticastLoopback(true))
	}
	if joined == 0 || err != nil {
		return errors.Join(err, p.Close())
	}
	s.v6 = p
	return nil
}

// read handles what comes in on one socket, until it is closed.
func (s *session) read(next func([]byte) (n, index int, from net.Addr, err error)) {
	var err error
	defer func() { s.fail(err) }()
	defer recovered(&err)
	buf := make([]byte, 9000)
	for {
		var n, index int
		var from net.Addr
		if n, index, from, err = next(buf); err != nil {
			return
		}
		s.handle(buf[:n], index, from)
	}
}

func (s *session) fail(err error) {
	s.once.Do(func() {
		s.mu.Lock()
		s.reason = err
		s.mu.Unlock()
		close(s.failed)
	})
}

func (s *session) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}

func (s *session) close() {
	if s.v4 != nil {
		s.v4.Close()
	}
	if s.v6 != nil {
		s.v6.Close()
	}
	s.done.Wait()
}

// probe starts to ask for a name.
func (s *session) probe(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name, s.held = name, false
	select { // what came for another name doesn't count
	case <-s.rival:
	default:
	}
}

// hold starts to answer for the name.
func (s *session) hold(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name, s.held = name, true
}

// handle looks at one packet. Strange ones are passed over.
func (s *session) handle(packet []byte, index int, from net.Addr) {
	i := slices.IndexFunc(s.nets, func(n iface) bool { return n.index == index })
	src, ok := from.(*net.UDPAddr)
	if i < 0 || !ok {
		return
	}
	on := s.nets[i]
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := parse(packet, s.name)
	if err != nil || s.name == "" {
		return
	}
	have := on.addrs()
	switch {
	case s.contests(m, have):
		select {
		case s.rival <- struct{}{}:
		default:
		}
	case !s.held || !m.wants(have):
	case src.Port != s.port:
		if on.near(src.AddrPort().Addr().Unmap().WithZone("")) { // never to somebody far away
			if b, err := legacyAnswer(m, s.name, have); err == nil {
				s.send(b, on, src)
			}
		}
	case m.probe || time.Since(s.said[index]) > time.Second: // section 6: no more than once a second
		s.said[index] = time.Now()
		if b, err := answer(s.name, have, ttl); err == nil {
			s.send(b, on, nil)
		}
	}
}

// contests reports whether m claims our name for a machine that isn't this one. Of two that
// probe at once, the one with the greater addresses may go on (section 8.2).
func (s *session) contests(m message, have []netip.Addr) bool {
	foreign := slices.ContainsFunc(m.claimed, func(a netip.Addr) bool { return !s.own(a) })
	if !foreign || m.response {
		return foreign
	}
	theirs := slices.SortedFunc(slices.Values(m.claimed), netip.Addr.Compare)
	return !s.held && slices.CompareFunc(theirs, have, netip.Addr.Compare) > 0
}

func (s *session) own(a netip.Addr) bool {
	return slices.ContainsFunc(s.nets, func(n iface) bool {
		return slices.ContainsFunc(n.prefixes, func(p netip.Prefix) bool { return p.Addr() == a })
	})
}

// ask sends a probe to all networks.
func (s *session) ask(name string) {
	for _, n := range s.nets {
		if b, err := probe(name, n.addrs()); err == nil {
			s.send(b, n, nil)
		}
	}
}

// announce tells all networks; with 0 seconds it gives the name up.
func (s *session) announce(name string, seconds uint32) {
	for _, n := range s.nets {
		if b, err := answer(name, n.addrs(), seconds); err == nil {
			s.send(b, n, nil)
		}
	}
}

// send sends to one address, or with none to everybody in the network. What can't be sent
// is lost, as on any network: the asker asks again.
func (s *session) send(b []byte, on iface, to *net.UDPAddr) {
	if s.v4 != nil && (to == nil || to.IP.To4() != nil) {
		dst := to
		if dst == nil {
			dst = &net.UDPAddr{IP: group4, Port: s.port}
		}
		_, _ = s.v4.WriteTo(b, &ipv4.ControlMessage{IfIndex: on.index}, dst)
	}
	if s.v6 != nil && (to == nil || to.IP.To4() == nil) {
		dst := to
		if dst == nil {
			dst = &net.UDPAddr{IP: group6, Port: s.port}
		}
		_, _ = s.v6.WriteTo(b, &ipv6.ControlMessage{IfIndex: on.index}, dst)
	}
}

// interfaces are the networks of the machine that can be spoken to as a group.
func interfaces() ([]iface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var nets []iface
	for _, i := range all {
		const must, mustNot = net.FlagUp | net.FlagRunning | net.FlagMulticast, net.FlagLoopback | net.FlagPointToPoint
		if i.Flags&must != must || i.Flags&mustNot != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went away just now
		}
		n := iface{index: i.Index}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				n.prefixes = append(n.prefixes, p)
			}
		}
		if len(n.prefixes) > 0 {
			nets = append(nets, n)
		}
	}
	return nets, nil
}
