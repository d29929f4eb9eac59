// Package mdns answers for one host name, such as picloud.local, on the networks that the
// machine is in (RFC 6762): no more than that, and never at the expense of the instance. It
// sleeps until a packet comes or the networks change.
//
// The libraries that there are either do not see networks come and go, spin when a socket
// fails, or claim a name without asking whether it is taken; hence these few files.
package mdns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Times of RFC 6762, sections 8.1 and 8.3, and how long networks get to settle.
const (
	probes        = 3
	probePause    = 250 * time.Millisecond
	announcePause = time.Second
	settle        = time.Second
)

// maxNames bounds how many names are tried: picloud, picloud-2, … picloud-20.
const maxNames = 20

// Options of New. Name is needed.
type Options struct {
	Name   string // without ".local"
	Logger *slog.Logger

	port       int // 5353
	interfaces func() ([]iface, error)
	changes    func(context.Context) (<-chan struct{}, error)
}

// Responder answers for a name.
type Responder struct {
	o Options

	mu   sync.Mutex // guards what follows
	name string     // the one held now, "" before
	told string     // the one that the log told of last
}

// New makes a responder; Serve runs it.
func New(o Options) *Responder {
	o.Logger = cmp.Or(o.Logger, slog.Default())
	o.port = cmp.Or(o.port, port)
	if o.interfaces == nil {
		o.interfaces = interfaces
	}
	if o.changes == nil {
		o.changes = changes
	}
	return &Responder{o: o}
}

// Name is the host name that the responder holds, such as picloud.local; "" while it holds none.
func (r *Responder) Name() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.name
}

func (r *Responder) hold(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name != "" && name != r.told {
		r.told = name
		r.o.Logger.Info("announced on the local network", "name", name)
	}
	r.name = name
}

// Serve answers until ctx ends. Whatever happens, it returns no other error than ctx's: an
// instance without a name works.
func (r *Responder) Serve(ctx context.Context) error {
	changed, err := r.o.changes(ctx)
	if err != nil {
		r.o.Logger.Warn("changes of the network are not seen: the name may stop working until the next start", "err", err)
	}
	var last string
	for ctx.Err() == nil {
		err := r.session(ctx, changed)
		r.hold("")
		switch {
		case ctx.Err() != nil:
		case err == nil || errors.Is(err, errTaken):
			pause(ctx, nil, settle)
		default: // nothing to be done until something changes; said once
			if err.Error() != last {
				r.o.Logger.Warn("not announced on the local network", "err", err)
			}
			last = err.Error()
			pause(ctx, changed, 0)
			pause(ctx, nil, settle)
		}
	}
	return ctx.Err()
}

// errTaken says that somebody else holds the name.
var errTaken = errors.New("the name is taken")

// session claims a name on the networks as they are now, and holds it until they change or
// somebody else claims it too.
func (r *Responder) session(ctx context.Context, changed <-chan struct{}) (err error) {
	defer recovered(&err)
	nets, err := r.o.interfaces()
	if err != nil {
		return err
	}
	if len(nets) == 0 {
		pause(ctx, changed, 0)
		return nil
	}
	s, err := listen(nets, r.o.port)
	if err != nil {
		return err
	}
	defer s.close()
	name, err := r.claim(ctx, s)
	if err != nil {
		return err
	}
	s.hold(name)
	r.hold(name)
	defer s.announce(name, 0) // goodbye
	s.announce(name, ttl)
	if pause(ctx, changed, announcePause) {
		return nil
	}
	s.announce(name, ttl)
	select {
	case <-ctx.Done():
		return nil
	case <-changed:
		return nil
	case <-s.failed:
		return s.err()
	case <-s.rival:
		return errTaken
	}
}

// claim finds a name that nobody else holds.
func (r *Responder) claim(ctx context.Context, s *session) (string, error) {
	for n := 1; n <= maxNames; n++ {
		name := r.o.Name + ".local"
		if n > 1 {
			name = fmt.Sprintf("%s-%d.local", r.o.Name, n)
		}
		s.probe(name)
		taken := false
		for i := 0; i < probes && !taken; i++ {
			s.ask(name)
			select {
			case <-ctx.Done():
				return "", ctx.Err()
			case <-s.failed:
				return "", s.err()
			case <-s.rival:
				taken = true
			case <-time.After(probePause):
			}
		}
		if !taken {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s.local and the %d names after it are taken", r.o.Name, maxNames-1)
}

// pause waits for d (0: for ever) or until something changes or ctx ends, and reports whether
// it was one of these two.
func pause(ctx context.Context, changed <-chan struct{}, d time.Duration) bool {
	var over <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-ctx.Done():
		return true
	case <-changed:
		return true
	case <-over:
		return false
	}
}

// recovered turns a panic into an error: this package reads what strangers send.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("mdns panicked: %v", p)
	}
}

// iface is a network that the machine is in.
type iface struct {
	index    int
	prefixes []netip.Prefix // its addresses
}

// addrs is what to answer with on that network. Link-local IPv6 is of use only where there
// is nothing else.
func (i iface) addrs() []netip.Addr {
	var all, local []netip.Addr
	for _, p := range i.prefixes {
		if a := p.Addr(); a.Is6() && a.IsLinkLocalUnicast() {
			local = append(local, a)
		} else {
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		all = local
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// near reports whether a is in that network itself, not behind a router.
func (i iface) near(a netip.Addr) bool {
	return slices.ContainsFunc(i.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}
