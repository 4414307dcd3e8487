package dispatch

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestOriginOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.7":                "192.0.2.7/32",
		"2001:db8:1:2:3:4:5:6":     "2001:db8:1:2::/64",
		"fe80::1%3":                "fe80::/64",
		"2001:db8:1:2:ffff:0:0:99": "2001:db8:1:2::/64",
	} {
		if got := prefixOf(netip.MustParseAddr(in)).String(); got != want {
			t.Errorf("%s counts as %s, want %s", in, got, want)
		}
	}
	if prefixOf(netip.Addr{}).IsValid() {
		t.Error("the client of a Unix socket has a prefix")
	}
}

// The limiter against a plain list of who is there: nobody beyond the limit is
// admitted, nobody below it refused, and nothing is left when all are gone.
func TestPerIPLimiter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 3).Draw(t, "limit")
		l := newPerIPLimiter(limit)
		type guest struct {
			addr  netip.Addr
			queue uint64
		}
		guests := make(map[uint64]guest)
		from := func(addr netip.Addr) (n int) {
			for _, g := range guests {
				if g.addr == addr {
					n++
				}
			}
			return n
		}
		id := uint64(0)
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0, 1:
				id++
				addr := netip.AddrFrom4([4]byte{10, 0, 0, rapid.Byte().Draw(t, "client") % 4})
				admitted := l.admit(id, addr)
				if want := from(addr) < limit; admitted != want {
					t.Fatalf("%v admitted: %v, with %d there", addr, admitted, from(addr))
				}
				if admitted {
					queue := rapid.Uint64Range(1, 3).Draw(t, "queue")
					l.sent(id, queue)
					guests[id] = guest{addr, queue}
				}
			case 2:
				gone := rapid.Uint64Range(0, id+1).Draw(t, "gone")
				l.forget(gone)
				delete(guests, gone)
			case 3:
				queue := rapid.Uint64Range(1, 3).Draw(t, "dead")
				l.forgetQueue(queue)
				for id, g := range guests {
					if g.queue == queue {
						delete(guests, id)
					}
				}
			}
			if len(l.entries) != len(guests) {
				t.Fatalf("%d counted, %d there", len(l.entries), len(guests))
			}
		}
		for id := range guests {
			l.forget(id)
		}
		if len(l.counts) != 0 || len(l.entries) != 0 {
			t.Errorf("left: %v, %v", l.counts, l.entries)
		}
	})
}

func TestPerIPLimiterOffCountsNothing(t *testing.T) {
	l := newPerIPLimiter(0)
	if !l.admit(1, netip.MustParseAddr("10.0.0.1")) || l.entries != nil {
		t.Error("it does")
	}
	l.sent(1, 1)
	l.forget(1)
	l.forgetQueue(1)
}
