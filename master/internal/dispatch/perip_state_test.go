package dispatch

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whoever is in the limiter is in the next program's, and nobody else.
func TestPerIPEntriesGoOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := newPerIPLimiter(1 << 30)
		for id := range rapid.Uint64Range(0, 50).Draw(t, "clients") {
			var addr netip.Addr
			if rapid.Bool().Draw(t, "IPv4") {
				addr = netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(t, "address") % 8})
			} else {
				addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: rapid.Byte().Draw(t, "network") % 8, 15: 1})
			}
			before.admit(id+1, addr)
			before.sent(id+1, rapid.Uint64().Draw(t, "queue"))
		}
		e := State{PerIP: before.record()}
		after, none := newPerIPLimiter(1), newPerIPLimiter(0)
		if err := after.inherit(&e); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(after.entries, before.entries) || !maps.Equal(after.counts, before.counts) {
			t.Errorf("%+v, before it was %+v", after, before)
		}
		if err := none.inherit(&e); err != nil || len(none.entries) > 0 { // the limit is gone
			t.Errorf("%+v, %v", none, err)
		}
	})
}

func TestPerIPRecordsThatAreNone(t *testing.T) {
	good := newPerIPLimiter(1)
	good.admit(1, netip.MustParseAddr("192.0.2.1"))
	record := good.record()
	wide := slices.Clone(record)
	wide[16] = 33
	for name, b := range map[string][]byte{"cut off": record[:len(record)-1], "too many bits": wide} {
		if l := newPerIPLimiter(1); l.restore(b) == nil {
			t.Errorf("%s: taken for good", name)
		}
	}
}
