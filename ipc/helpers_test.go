package ipc

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// queue returns a pair that is closed, and checked for leaks, when the test ends.
func queue(t testing.TB) (a, b int) {
	t.Helper()
	leaktest.Descriptors(t)
	a, b, err := fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fdpass.CloseAll([]int{a, b}) })
	return a, b
}

// null returns a descriptor that the caller owns.
func null(t testing.TB) int {
	t.Helper()
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// parsed returns a packet made of b, without descriptors.
func parsed(b []byte) (*Packet, error) {
	descriptors, err := announced(b)
	if err != nil {
		return nil, err
	}
	p := new(Packet)
	n := copy(p.buffer[:], b)
	for i := range descriptors {
		p.fds[i] = -1
	}
	return p, p.index(n)
}

// encoded returns the bytes of a packet of these envelopes, which must fit.
func encoded(t testing.TB, envelopes ...Envelope) []byte {
	t.Helper()
	var p Packet
	for i := range envelopes {
		if !p.Add(&envelopes[i], -1) {
			t.Fatalf("envelope %d does not fit", i)
		}
	}
	return p.encode()
}

// encodedLarge returns the bytes of a packet of one connection whose state is in
// a memfd.
func encodedLarge(e Envelope) []byte {
	var p Packet
	p.AddLarge(&e, -1, -1)
	return p.encode()
}

// anyEnvelope generates every envelope that the wire can carry.
func anyEnvelope(maxState int) *rapid.Generator[Envelope] {
	return rapid.Custom(func(t *rapid.T) Envelope {
		return Envelope{
			ID:        rapid.Uint64().Draw(t, "id"),
			Accepted:  time.Duration(rapid.Int64().Draw(t, "accepted")),
			Remote:    anyAddrPort(true).Draw(t, "remote"),
			Local:     anyAddrPort(false).Draw(t, "local"),
			Listener:  rapid.StringN(0, 60, MaxName).Draw(t, "listener"),
			Transport: rapid.Uint8().Draw(t, "transport"),
			State:     rapid.SliceOfN(rapid.Byte(), 0, maxState).Draw(t, "state"),
		}
	})
}

func anyAddrPort(zones bool) *rapid.Generator[netip.AddrPort] {
	return rapid.Custom(func(t *rapid.T) netip.AddrPort {
		port := rapid.Uint16().Draw(t, "port")
		switch rapid.SampledFrom([]int{familyNone, family4, family6}).Draw(t, "family") {
		case family4:
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "four"))), port)
		case family6:
			addr := netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "sixteen")))
			if zones && rapid.Bool().Draw(t, "scoped") {
				addr = addr.WithZone(rapid.SampledFrom([]string{"1", "2", "4294967295"}).Draw(t, "zone"))
			}
			return netip.AddrPortFrom(addr, port)
		}
		return netip.AddrPort{}
	})
}
