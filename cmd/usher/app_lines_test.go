package main

import (
	"net/netip"
	"testing"
)

func TestAppendPrefix(t *testing.T) {
	tests := []struct {
		name   string
		client netip.AddrPort
		want   string
	}{
		{"IPv4", netip.MustParseAddrPort("192.0.2.1:5000"), "7 192.0.2.1 5000 "},
		{"IPv6", netip.MustParseAddrPort("[2001:db8::1]:80"), "7 2001:db8::1 80 "},
		{"Unix", netip.AddrPort{}, "7 - - "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := string(appendPrefix(nil, 7, test.client)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
