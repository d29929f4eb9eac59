package outbound

import (
	"net/netip"

	"picloud/app/cloud"
)

// reserved are the networks that no request reaches unless an operator allows it, with what
// they are. Of IPv6 only what is global unicast is open at all: see reservedKind.
var reserved = []struct {
	net  netip.Prefix
	kind string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-private"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("168.63.129.16/32"), "metadata"}, // of Azure: a public address that only its machines reach
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"}, // with the metadata services of most clouds
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), "reserved"},
	{netip.MustParsePrefix("192.88.99.0/24"), "reserved"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "reserved"},
	{netip.MustParsePrefix("198.51.100.0/24"), "reserved"},
	{netip.MustParsePrefix("203.0.113.0/24"), "reserved"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"}, // with the broadcast address

	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("fc00::/7"), "private"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "private"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("2001::/23"), "reserved"}, // with Teredo, which wraps IPv4
	{netip.MustParsePrefix("2001:db8::/32"), "reserved"},
	{netip.MustParsePrefix("3fff::/20"), "reserved"},
}

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96") // ends in an IPv4 address
	sixToFour     = netip.MustParsePrefix("2002::/16")    // goes on with one
)

// reservedKind says what kind of reserved address a is, "" for one of the open internet. An
// IPv6 form that carries an IPv4 address is judged by that address.
func reservedKind(a netip.Addr) string {
	a = a.WithZone("").Unmap()
	for _, r := range reserved {
		if r.net.Contains(a) {
			return r.kind
		}
	}
	if a.Is4() {
		return ""
	}
	b := a.As16()
	switch {
	case nat64.Contains(a):
		return reservedKind(netip.AddrFrom4([4]byte(b[12:])))
	case sixToFour.Contains(a):
		return reservedKind(netip.AddrFrom4([4]byte(b[2:6])))
	case !globalUnicast.Contains(a):
		return "reserved"
	}
	return ""
}

// check refuses a reserved address, which is one that host was resolved to, unless a list
// allows it. The message doesn't name the address: what names in the operator's network
// resolve to is none of a script's business.
func check(host string, a netip.Addr, lists ...*Allow) error {
	kind := reservedKind(a)
	if kind == "" {
		return nil
	}
	for _, l := range lists {
		if l.Host(host) || l.Addr(a) {
			return nil
		}
	}
	return cloud.Errorf(cloud.Forbidden,
		"%s is at a %s address, which scripts may not call: an operator can allow it for this app (outbound) or for the instance (PICLOUD_OUTBOUND_ALLOW)", host, kind)
}
