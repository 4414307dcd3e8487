package proxyheader_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/proxyheader"
)

func TestTrusted(t *testing.T) {
	tests := []struct {
		peer, networks string
		want           bool
	}{
		{"", "", true}, // a Unix socket's
		{"", "10.0.0.0/8", true},
		{"127.0.0.1", "", false},
		{"127.0.0.1", "127.0.0.0/8 ::1/128", true},
		{"::1", "127.0.0.0/8 ::1/128", true},
		{"::ffff:127.0.0.1", "127.0.0.0/8 ::1/128", true},
		{"128.0.0.1", "127.0.0.0/8 ::1/128", false},
		{"10.1.2.3", "10.1.2.3/32", true},
		{"10.1.2.4", "10.1.2.3/32", false},
		{"10.1.2.4", "10.1.2.3/24", true}, // bits beyond the prefix do not count
		{"10.1.2.3", "::ffff:10.0.0.0/104", true},
		{"11.1.2.3", "::ffff:10.0.0.0/104", false},
		{"10.1.2.3", "::ffff:0.0.0.0/96", true},
		{"10.1.2.3", "0.0.0.0/0", true},
		{"2001:db8::1", "0.0.0.0/0", false},
		{"10.1.2.3", "::/0", false},
		{"::ffff:10.1.2.3", "::/0", false},
		{"2001:db8::1", "::/0", true},
		{"fe80::1%eth0", "fe80::/10", true},
		{"fe80::1%eth0", "2001:db8::/32", false},
		{"::ffff:10.1.2.3%eth0", "10.0.0.0/8", true},
	}
	for _, test := range tests {
		var peer netip.Addr
		if test.peer != "" {
			peer = netip.MustParseAddr(test.peer)
		}
		var networks []netip.Prefix
		for _, network := range strings.Fields(test.networks) {
			networks = append(networks, netip.MustParsePrefix(network))
		}
		if got := proxyheader.Trusted(peer, networks); got != test.want {
			t.Errorf("%q by %q: %v", test.peer, test.networks, got)
		}
	}
	if proxyheader.Trusted(netip.MustParseAddr("10.0.0.1"), []netip.Prefix{{}}) {
		t.Error("the zero prefix trusts")
	}
}
