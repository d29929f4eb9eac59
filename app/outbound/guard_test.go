package outbound

import (
	"net/netip"
	"strings"
	"testing"

	"picloud/app/cloud"
)

func TestReservedKind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ addr, kind string }{
		{"93.184.216.34", ""},
		{"1.1.1.1", ""},
		{"172.15.255.255", ""},
		{"172.32.0.0", ""},
		{"100.128.0.0", ""},
		{"2606:2800:220:1:248:1893:25c8:1946", ""},
		{"::ffff:93.184.216.34", ""},
		{"64:ff9b::5db8:d822", ""}, // 93.184.216.34
		{"2002:5db8:d822::1", ""},

		{"0.0.0.0", "unspecified"},
		{"0.1.2.3", "unspecified"},
		{"10.0.0.1", "private"},
		{"100.64.0.1", "carrier-private"},
		{"100.100.100.200", "carrier-private"}, // metadata of Alibaba
		{"127.0.0.1", "loopback"},
		{"127.255.255.254", "loopback"},
		{"168.63.129.16", "metadata"},
		{"169.254.169.254", "link-local"},
		{"172.16.0.1", "private"},
		{"172.31.255.255", "private"},
		{"192.0.0.192", "reserved"}, // metadata of Oracle
		{"192.0.2.1", "reserved"},
		{"192.88.99.1", "reserved"},
		{"192.168.1.1", "private"},
		{"198.18.0.1", "reserved"},
		{"198.51.100.1", "reserved"},
		{"203.0.113.1", "reserved"},
		{"224.0.0.251", "multicast"},
		{"239.255.255.250", "multicast"},
		{"240.0.0.1", "reserved"},
		{"255.255.255.255", "reserved"},

		{"::", "unspecified"},
		{"::1", "loopback"},
		{"::ffff:127.0.0.1", "loopback"},
		{"::ffff:169.254.169.254", "link-local"},
		{"::127.0.0.1", "reserved"}, // the old IPv4-compatible form
		{"64:ff9b::7f00:1", "loopback"},
		{"64:ff9b::a9fe:a9fe", "link-local"},
		{"64:ff9b:1::1", "reserved"},
		{"2002:7f00:1::", "loopback"},
		{"2002:c0a8:101::", "private"},
		{"2001::1", "reserved"}, // Teredo
		{"2001:db8::1", "reserved"},
		{"3fff::1", "reserved"},
		{"100::1", "reserved"},
		{"4000::1", "reserved"},
		{"fc00::1", "private"},
		{"fd00:ec2::254", "private"}, // metadata of AWS
		{"fe80::1", "link-local"},
		{"fe80::1%eth0", "link-local"},
		{"fec0::1", "private"},
		{"ff02::1", "multicast"},
	} {
		if got := reservedKind(netip.MustParseAddr(tt.addr)); got != tt.kind {
			t.Errorf("%s: got %q, want %q", tt.addr, got, tt.kind)
		}
	}
}

func TestCheckAllows(t *testing.T) {
	t.Parallel()
	allow, err := ParseAllow([]string{"10.1.0.0/16", "192.168.1.20", "::ffff:172.16.0.0/108", "fd00::/8", "[::1]", "printer.lan", "*.home.arpa", "bücher.lan"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		host, addr string
		ok         bool
	}{
		{"10.1.2.3", "10.1.2.3", true},
		{"a.example", "::ffff:10.1.2.3", true},
		{"a.example", "10.2.2.3", false},
		{"a.example", "192.168.1.20", true},
		{"a.example", "192.168.1.21", false},
		{"a.example", "172.20.1.1", true},
		{"a.example", "fd12::1", true},
		{"a.example", "::1", true},
		{"a.example", "127.0.0.1", false},
		{"a.example", "64:ff9b::a01:203", false}, // 10.1.2.3 behind NAT64 is somewhere else
		{"printer.lan", "192.168.7.7", true},
		{"PRINTER.lan.", "192.168.7.7", true},
		{"a.printer.lan", "192.168.7.7", false},
		{"nas.home.arpa", "192.168.7.7", true},
		{"a.nas.home.arpa", "192.168.7.7", true},
		{"home.arpa", "192.168.7.7", false},
		{"evilhome.arpa", "192.168.7.7", false},
		{"xn--bcher-kva.lan", "192.168.7.7", true},
	} {
		err := check(tt.host, netip.MustParseAddr(tt.addr), nil, allow)
		if (err == nil) != tt.ok {
			t.Errorf("%s at %s: got %v, want allowed: %v", tt.host, tt.addr, err, tt.ok)
		}
		if err != nil && (cloud.KindOf(err) != cloud.Forbidden || tt.host != tt.addr && strings.Contains(err.Error(), tt.addr)) {
			t.Errorf("%s at %s: %v is not forbidden, or tells the address", tt.host, tt.addr, err)
		}
	}
}

func TestParseAllowRefuses(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"", " ", "*", "*.", ".", "10.0.0.0/33", "10.1", "256.1.1.1", "http://printer.lan", "printer.lan:80", "a b", "a/b", "fe80::1%eth0", strings.Repeat("a.", 200) + "lan", "*.*.lan", "a..b"} {
		if _, err := ParseAllow([]string{entry}); cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%q: got %v, want invalid", entry, err)
		}
	}
	if _, err := ParseAllow(make([]string, MaxAllow+1)); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("too many: got %v", err)
	}
}

func FuzzParseAllow(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "fd00::/8", "printer.lan", "*.lan", "::ffff:1.2.3.4/100", "[::1]", "bücher.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		a, err := ParseAllow([]string{entry})
		if err != nil {
			if cloud.KindOf(err) != cloud.Invalid {
				t.Errorf("%q: %v", entry, err)
			}
			return
		}
		if len(a.networks)+len(a.hosts)+len(a.suffixes) != 1 {
			t.Errorf("%q became %+v", entry, a)
		}
		for _, p := range a.networks {
			if !p.IsValid() || !a.Addr(p.Addr()) {
				t.Errorf("%q doesn't have its own address %s", entry, p)
			}
		}
		for host := range a.hosts {
			if !a.Host(host) || a.Host("x"+host) {
				t.Errorf("%q: %q doesn't match just itself", entry, host)
			}
		}
	})
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"https://example.org/a?b=c#d", "http://[::1]:80/", "http://127.1/", "http://a@b/", "http://bücher.example", "http://0x7f.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURL(s)
		if err != nil {
			if cloud.KindOf(err) != cloud.Invalid {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if u.User != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.Fragment != "" {
			t.Errorf("%q became %q", s, u)
		}
	})
}
