package worker

import (
	"net/netip"
	"testing"
)

func TestZone(t *testing.T) {
	for name, want := range map[string]uint32{
		"":           0,
		"2":          2,
		"4294967295": 1<<32 - 1,
		"4294967297": 0, // not 1, which is another interface
		"eth0":       0,
		"+1":         0,
	} {
		if got := zone(netip.MustParseAddr("fe80::1").WithZone(name)); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}
