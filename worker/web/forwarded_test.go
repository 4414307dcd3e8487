package web

import (
	"net/http"
	"net/netip"
	"testing"
)

func TestCredit(t *testing.T) {
	const proxy, stranger = "10.0.0.1:1000", "192.0.2.7:2000"
	tests := []struct {
		name, peer string
		forwarded  bool
		lines      []string
		want       string
	}{
		{"a stranger's word", stranger, false, []string{"1.2.3.4"}, stranger},
		{"a proxy that says nothing", proxy, false, nil, proxy},
		{"one client", proxy, false, []string{"1.2.3.4"}, "1.2.3.4:0"},
		{"with a port", proxy, false, []string{"1.2.3.4:55"}, "1.2.3.4:55"},
		{"what a client has made up", proxy, false, []string{"6.6.6.6, 1.2.3.4"}, "1.2.3.4:0"},
		{"on a line of its own", proxy, false, []string{"6.6.6.6", "1.2.3.4"}, "1.2.3.4:0"},
		{"proxies between", proxy, false, []string{"6.6.6.6, 1.2.3.4, 10.0.0.3", "10.0.0.2"}, "1.2.3.4:0"},
		{"proxies alone", proxy, false, []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3:0"},
		{"malformed", proxy, false, []string{"1.2.3.4, what"}, proxy},
		{"malformed behind a proxy", proxy, false, []string{"1.2.3.4, what, 10.0.0.2"}, "10.0.0.2:0"},
		{"an empty element", proxy, false, []string{"1.2.3.4,"}, proxy},
		{"half a bracket", proxy, false, []string{"[2001:db8::1"}, proxy},
		{"IPv6", proxy, false, []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"IPv6 in brackets", proxy, false, []string{"[2001:db8::1]"}, "[2001:db8::1]:0"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1000", false, []string{"::ffff:1.2.3.4"}, "1.2.3.4:0"},
		{"Forwarded", proxy, true, []string{`for=6.6.6.6, For="[2001:db8::1]:55";proto=https, by=x;for=10.0.0.2`}, "[2001:db8::1]:55"},
		{"a hidden one", proxy, true, []string{"for=1.2.3.4, for=_hidden"}, proxy},
		{"two of one element", proxy, true, []string{"for=1.2.3.4;for=1.2.3.5"}, proxy},
		{"a comma within quotes", proxy, true, []string{`for="6.6.6.6, for=1.2.3.4"`}, proxy},
		{"a Unix socket", "", false, []string{"1.2.3.4"}, "1.2.3.4:0"},
		{"a Unix socket that says nothing", "", false, nil, "@"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := parser{trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, forwarded: test.forwarded}
			r := &http.Request{Header: http.Header{"X-Forwarded-Proto": {"https"}}}
			if name := map[bool]string{false: "X-Forwarded-For", true: "Forwarded"}[test.forwarded]; test.lines != nil {
				r.Header[name] = test.lines
			}
			var peer netip.AddrPort
			if test.peer != "" {
				peer = netip.MustParseAddrPort(test.peer)
			}
			p.credit(r, peer)
			if r.RemoteAddr != test.want {
				t.Errorf("%s, want %s", r.RemoteAddr, test.want)
			}
			if kept := len(r.Header) > 0; kept == (test.peer == stranger) {
				t.Errorf("header %v", r.Header)
			}
			(&parser{}).credit(r, peer)
			if want := map[bool]string{true: test.peer, false: "@"}[test.peer != ""]; r.RemoteAddr != want {
				t.Errorf("%s with nobody trusted, want %s", r.RemoteAddr, want)
			}
		})
	}
}
