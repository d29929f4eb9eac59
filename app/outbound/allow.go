package outbound

import (
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"picloud/app/cloud"
)

// Bounds of an allow list.
const (
	MaxAllow      = 100 // entries
	maxAllowEntry = 255 // bytes
)

// Allow is a list of reserved places that scripts may call all the same: networks, addresses,
// and hosts, whatever these resolve to. A nil Allow allows nothing.
type Allow struct {
	networks []netip.Prefix
	hosts    map[string]bool // lower-case, without a final dot
	suffixes []string        // ".example.org" for *.example.org
}

// ParseAllow reads a list of entries like 10.0.0.0/8, 192.168.1.20, fd00::/8, printer.lan and
// *.lan. The error is Invalid and names the entry.
func ParseAllow(entries []string) (*Allow, error) {
	if len(entries) > MaxAllow {
		return nil, cloud.Errorf(cloud.Invalid, "allow: %d entries, at most %d are possible: write networks instead of single addresses", len(entries), MaxAllow)
	}
	a := &Allow{hosts: map[string]bool{}}
	for _, e := range entries {
		if err := a.add(e); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *Allow) add(entry string) error {
	if p, err := netip.ParsePrefix(entry); err == nil {
		a.networks = append(a.networks, unmapPrefix(p).Masked())
		return nil
	}
	if ip, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		a.networks = append(a.networks, netip.PrefixFrom(ip, ip.BitLen()))
		return nil
	}
	name, wild := strings.CutPrefix(entry, "*.")
	host, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
	if err != nil || host == "" || len(entry) > maxAllowEntry || !isName(host) {
		return cloud.Errorf(cloud.Invalid, "allow: %q is no network, address or host: write it like 10.0.0.0/8, 192.168.1.20, printer.lan or *.lan", clip(entry))
	}
	if wild {
		a.suffixes = append(a.suffixes, "."+host)
	} else {
		a.hosts[host] = true
	}
	return nil
}

// unmapPrefix makes ::ffff:10.0.0.0/104 the network 10.0.0.0/8.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if !p.Addr().Is4In6() || p.Bits() < 96 {
		return p
	}
	return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
}

// isName reports that every label has letters, digits, hyphens and underscores alone, and
// that the last one is no number: 10.1 is a mistyped address, not a host.
func isName(host string) bool {
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// Host reports whether the list has the host, by name or by a wildcard over it.
func (a *Allow) Host(host string) bool {
	if a == nil {
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return a.hosts[host] || slices.ContainsFunc(a.suffixes, func(s string) bool { return strings.HasSuffix(host, s) })
}

// Addr reports whether one of the list's networks has the address.
func (a *Allow) Addr(ip netip.Addr) bool {
	if a == nil {
		return false
	}
	ip = ip.WithZone("").Unmap()
	return slices.ContainsFunc(a.networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
