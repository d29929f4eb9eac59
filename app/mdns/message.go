package mdns

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	ttl       = 120 // seconds, for addresses (RFC 6762, section 10)
	legacyTTL = 10  // for askers who don't speak mDNS
	flush     = 1 << 15
	maxAsked  = 64 // questions and records of a packet that are looked at
)

// message is what a packet says about one name.
type message struct {
	response bool
	id       uint16
	asked    []dnsmessage.Question // for addresses of the name
	probe    bool                  // asks for anything: about to claim the name
	known    []netip.Addr          // addresses that the asker knows already
	claimed  []netip.Addr          // addresses that the sender claims, now or by its probe
}

// parse reads what a packet says about name.
func parse(packet []byte, name string) (m message, err error) {
	var p dnsmessage.Parser
	h, err := p.Start(packet)
	if err != nil {
		return m, err
	}
	if h.OpCode != 0 || h.RCode != 0 {
		return m, errors.New("not a query or an answer")
	}
	m.response, m.id = h.Response, h.ID
	for range maxAsked {
		q, err := p.Question()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		} else if err != nil {
			return m, err
		}
		if is(q.Name, name) && q.Class&^flush == dnsmessage.ClassINET {
			m.ask(q)
		}
	}
	if err := p.SkipAllQuestions(); err != nil {
		return m, err
	}
	answers, err := addresses(name, p.AnswerHeader, p.SkipAnswer, p.AResource, p.AAAAResource)
	if err != nil {
		return m, err
	}
	if m.response {
		m.claimed = answers
		return m, nil
	}
	m.known = answers
	if err := p.SkipAllAnswers(); err != nil {
		return m, err
	}
	m.claimed, err = addresses(name, p.AuthorityHeader, p.SkipAuthority, p.AResource, p.AAAAResource)
	return m, err
}

func (m *message) ask(q dnsmessage.Question) {
	switch q.Type {
	case dnsmessage.TypeALL:
		m.probe = true
	case dnsmessage.TypeA, dnsmessage.TypeAAAA:
	default:
		return
	}
	m.asked = append(m.asked, q)
}

// addresses reads the addresses of name in a section. Records that give up the name
// (TTL 0) are none.
func addresses(name string, header func() (dnsmessage.ResourceHeader, error), skip func() error,
	a func() (dnsmessage.AResource, error), aaaa func() (dnsmessage.AAAAResource, error)) ([]netip.Addr, error) {
	var all []netip.Addr
	for range maxAsked {
		h, err := header()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return all, nil
		} else if err != nil {
			return all, err
		}
		var found netip.Addr
		switch {
		case !is(h.Name, name) || h.TTL == 0:
			err = skip()
		case h.Type == dnsmessage.TypeA:
			var r dnsmessage.AResource
			if r, err = a(); err == nil {
				found = netip.AddrFrom4(r.A)
			}
		case h.Type == dnsmessage.TypeAAAA:
			var r dnsmessage.AAAAResource
			if r, err = aaaa(); err == nil {
				found = netip.AddrFrom16(r.AAAA)
			}
		default:
			err = skip()
		}
		if err != nil {
			return all, err
		}
		if found.IsValid() {
			all = append(all, found)
		}
	}
	return all, nil
}

func is(n dnsmessage.Name, name string) bool {
	return strings.EqualFold(strings.TrimSuffix(n.String(), "."), name)
}

// wants reports whether m asks for something that it doesn't know.
func (m *message) wants(have []netip.Addr) bool {
	return !m.response && len(m.asked) > 0 && slices.ContainsFunc(have, func(a netip.Addr) bool { return !slices.Contains(m.known, a) })
}

// answer is a packet that claims the addresses for name.
func answer(name string, have []netip.Addr, seconds uint32) ([]byte, error) {
	return build(dnsmessage.Header{Response: true, Authoritative: true}, nil, name, have, flush, seconds, false)
}

// legacyAnswer is the answer for a plain DNS client.
func legacyAnswer(m message, name string, have []netip.Addr) ([]byte, error) {
	h := dnsmessage.Header{ID: m.id, Response: true, Authoritative: true}
	return build(h, m.asked, name, have, 0, legacyTTL, false)
}

// probe is a packet that asks who holds name, and tells what it would be.
func probe(name string, have []netip.Addr) ([]byte, error) {
	n, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, err
	}
	q := []dnsmessage.Question{{Name: n, Type: dnsmessage.TypeALL, Class: dnsmessage.ClassINET}}
	return build(dnsmessage.Header{}, q, name, have, 0, ttl, true)
}

func build(h dnsmessage.Header, asked []dnsmessage.Question, name string, have []netip.Addr, class dnsmessage.Class, seconds uint32, authority bool) ([]byte, error) {
	n, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{Header: h, Questions: asked}
	for _, a := range have {
		r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET | class, TTL: seconds}}
		if a.Is4() {
			r.Header.Type, r.Body = dnsmessage.TypeA, &dnsmessage.AResource{A: a.As4()}
		} else {
			r.Header.Type, r.Body = dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: a.As16()}
		}
		if authority {
			m.Authorities = append(m.Authorities, r)
		} else {
			m.Answers = append(m.Answers, r)
		}
	}
	return m.Pack()
}
