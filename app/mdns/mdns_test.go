package mdns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"
)

// network is the loopback interface, with addresses of our choice, on a port of its own.
type network struct {
	t    *testing.T
	port int
}

func newNetwork(t *testing.T) network {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return network{t, c.LocalAddr().(*net.UDPAddr).Port}
}

// host runs a responder that believes to have these addresses, until the test or stop ends it.
func (n network) host(name string, changes chan struct{}, addrs func() []string) (r *Responder, stop func()) {
	n.t.Helper()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		n.t.Skip("no loopback interface called lo here")
	}
	r = New(Options{Name: name, port: n.port,
		interfaces: func() ([]iface, error) {
			i := iface{index: lo.Index}
			for _, a := range addrs() {
				i.prefixes = append(i.prefixes, netip.MustParsePrefix(a))
			}
			if len(i.prefixes) == 0 {
				return nil, nil
			}
			return []iface{i}, nil
		},
		changes: func(context.Context) (<-chan struct{}, error) { return changes, nil },
	})
	ctx, cancel := context.WithCancel(n.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			n.t.Errorf("got %v, want canceled", err)
		}
		done <- ctx.Err()
	}
	n.t.Cleanup(stop)
	return r, stop
}

func fixed(addrs ...string) func() []string { return func() []string { return addrs } }

// resolve asks as a plain DNS client does, again and again, until the answer is as wanted.
func (n network) resolve(name string, want ...string) {
	n.t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	defer c.Close()
	lo, _ := net.InterfaceByName("lo")
	p := ipv4.NewPacketConn(c)
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: 4711}, Questions: []dnsmessage.Question{
		{Name: dnsmessage.MustNewName(name + "."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	packet, err := q.Pack()
	if err != nil {
		n.t.Fatal(err)
	}
	var got []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if _, err := p.WriteTo(packet, &ipv4.ControlMessage{IfIndex: lo.Index, Src: net.IPv4(127, 0, 0, 1)}, &net.UDPAddr{IP: group4, Port: n.port}); err != nil {
			n.t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			n.t.Fatal(err)
		}
		buf := make([]byte, 9000)
		size, _, err := c.ReadFrom(buf)
		if err != nil {
			continue
		}
		m, err := parse(buf[:size], name)
		if err != nil || m.id != 4711 {
			n.t.Fatalf("got %+v, %v, want an answer to our question", m, err)
		}
		got = nil
		for _, a := range m.claimed {
			got = append(got, a.String())
		}
		if slices.Equal(got, want) {
			return
		}
	}
	n.t.Fatalf("%s: got %v, want %v", name, got, want)
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	r, stop := n.host("picloud", nil, fixed("127.0.0.1/8"))
	n.resolve("picloud.local", "127.0.0.1")
	n.resolve("PiCloud.local", "127.0.0.1")
	if got := r.Name(); got != "picloud.local" {
		t.Errorf("holds %q", got)
	}
	stop()
	if got := r.Name(); got != "" {
		t.Errorf("holds %q after the stop", got)
	}
}

// Two machines of one name: the second finds the name taken and uses the next. When the first
// is gone and the network changes, the second gets it.
func TestNameIsTaken(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	_, stop := n.host("picloud", nil, fixed("127.0.0.1/8"))
	n.resolve("picloud.local", "127.0.0.1")
	changed := make(chan struct{}, 1)
	n.host("picloud", changed, fixed("127.0.0.2/8"))
	n.resolve("picloud-2.local", "127.0.0.2")
	n.resolve("picloud.local", "127.0.0.1")
	stop()
	changed <- struct{}{}
	n.resolve("picloud.local", "127.0.0.2")
}

// Two that start at once end with a name each.
func TestBothAtOnce(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	a, _ := n.host("picloud", nil, fixed("127.0.0.1/8"))
	b, _ := n.host("picloud", nil, fixed("127.0.0.2/8"))
	addr := map[*Responder]string{a: "127.0.0.1", b: "127.0.0.2"}
	for a.Name() == "" || b.Name() == "" || a.Name() == b.Name() {
		time.Sleep(time.Millisecond)
	}
	for r, addr := range addr {
		n.resolve(r.Name(), addr)
	}
}

func TestNetworkComesAndGoes(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	changed := make(chan struct{})
	now := make(chan []string, 1)
	now <- nil
	addrs := func() []string { a := <-now; now <- a; return a }
	r, _ := n.host("picloud", changed, addrs)
	become := func(a ...string) {
		<-now
		now <- a
		changed <- struct{}{}
	}
	become("127.0.0.1/8")
	n.resolve("picloud.local", "127.0.0.1")
	become("127.0.0.3/8")
	n.resolve("picloud.local", "127.0.0.3")
	become()
	for r.Name() != "" {
		time.Sleep(time.Millisecond)
	}
	become("127.0.0.4/8")
	n.resolve("picloud.local", "127.0.0.4")
}

func TestContests(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr
	s := &session{nets: []iface{{index: 1, prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/24"), netip.MustParsePrefix("fd00::5/64")}}}}
	have := s.nets[0].addrs()
	for _, tt := range []struct {
		name string
		m    message
		held bool
		want bool
	}{
		{"nothing claimed", message{response: true}, true, false},
		{"our own answer", message{response: true, claimed: []netip.Addr{addr("10.0.0.5"), addr("fd00::5")}}, true, false},
		{"somebody's answer", message{response: true, claimed: []netip.Addr{addr("10.0.0.6")}}, true, true},
		{"somebody's answer while probing", message{response: true, claimed: []netip.Addr{addr("10.0.0.6")}}, false, true},
		{"somebody's probe, once we hold it", message{probe: true, claimed: []netip.Addr{addr("10.0.0.6")}}, true, false},
		{"greater probe", message{probe: true, claimed: []netip.Addr{addr("10.0.0.6")}}, false, true},
		{"smaller probe", message{probe: true, claimed: []netip.Addr{addr("10.0.0.4")}}, false, false},
	} {
		s.held = tt.held
		if got := s.contests(tt.m, have); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestAddrs(t *testing.T) {
	t.Parallel()
	of := func(all ...string) (i iface) {
		for _, a := range all {
			i.prefixes = append(i.prefixes, netip.MustParsePrefix(a))
		}
		return i
	}
	for _, tt := range []struct {
		i    iface
		want []netip.Addr
	}{
		{of("192.168.1.7/24", "fe80::1/64"), []netip.Addr{netip.MustParseAddr("192.168.1.7")}},
		{of("fe80::1/64"), []netip.Addr{netip.MustParseAddr("fe80::1")}},
	} {
		if got := tt.i.addrs(); !slices.Equal(got, tt.want) {
			t.Errorf("got %v, want %v", got, tt.want)
		}
	}
	if i := of("192.168.1.7/24"); i.near(netip.MustParseAddr("8.8.8.8")) || !i.near(netip.MustParseAddr("192.168.1.200")) {
		t.Error("near is wrong")
	}
}

func FuzzParse(f *testing.F) {
	have := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}
	for _, make := range []func() ([]byte, error){
		func() ([]byte, error) { return answer("picloud.local", have, ttl) },
		func() ([]byte, error) { return probe("picloud.local", have) },
	} {
		b, err := make()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b, "picloud.local")
		if err != nil {
			return
		}
		if len(m.asked) > maxAsked || len(m.claimed) > maxAsked || len(m.known) > maxAsked {
			t.Errorf("%+v is unbounded", m)
		}
		if _, err := legacyAnswer(m, "picloud.local", have); err != nil {
			t.Errorf("no answer to what was understood: %v", err)
		}
	})
}
