package ipc

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"golang.org/x/sys/unix"
)

func TestReceiveWrongDescriptors(t *testing.T) {
	good := encoded(t, Envelope{ID: 1}, Envelope{ID: 2})
	tests := []struct {
		name   string
		packet []byte
		fds    int
		want   error
	}{
		{"one missing", good, 1, fdpass.ErrMissing},
		{"all missing", good, 0, fdpass.ErrMissing},
		{"one too many", good, 3, fdpass.ErrSurplus},
		{"as many as there can be", good, fdpass.MaxFDs, fdpass.ErrSurplus},
		{"a packet too long", make([]byte, MaxPacket+1), 2, fdpass.ErrPayloadTruncated},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := queue(t)
			post(t, a, test.packet, test.fds)
			var c PacketConn
			var p Packet
			if err := c.Receive(b, &p); !errors.Is(err, test.want) || p.Len() != 0 {
				t.Errorf("got %d connections and %v, want %v", p.Len(), err, test.want)
			}
		})
	}
}

func TestPacketConn(t *testing.T) {
	a, b := queue(t)
	var c PacketConn
	var sent, got Packet
	for i := range uint64(MaxConns) {
		sent.Add(&Envelope{ID: i + 1, Listener: "web"}, null(t))
	}
	if err := c.Send(a, &sent); err != nil {
		t.Fatal(err)
	}
	if sent.Len() != 0 {
		t.Errorf("%d connections left after Send", sent.Len())
	}
	if err := c.Receive(b, &got); err != nil {
		t.Fatal(err)
	}
	taken := got.Take(0)
	if got.FD(0) != -1 || got.FD(1) < 0 || got.ID(63) != 64 {
		t.Errorf("descriptors %d and %d, id %d", got.FD(0), got.FD(1), got.ID(63))
	}
	got.Close()
	if err := unix.Close(taken); err != nil {
		t.Errorf("the taken descriptor: %v", err)
	}
	if got.Len() != 0 {
		t.Errorf("%d connections left after Close", got.Len())
	}
	if err := c.Receive(b, &got); err != fdpass.ErrWouldBlock {
		t.Errorf("got %v, want ErrWouldBlock", err)
	}
}

// A packet whose connections were taken is received into again, and an error
// leaves nothing of it.
func TestReceiveForgetsWhatWasTaken(t *testing.T) {
	a, b := queue(t)
	var c PacketConn
	var p Packet
	for _, count := range []uint64{3, 1} {
		var sent Packet
		for i := range count {
			sent.Add(&Envelope{ID: i + 1}, null(t))
		}
		if err := c.Send(a, &sent); err != nil {
			t.Fatal(err)
		}
		if err := c.Receive(b, &p); err != nil || p.Len() != int(count) {
			t.Fatalf("%d connections, %v; want %d", p.Len(), err, count)
		}
		for i := range p.Len() {
			fdpass.CloseAll([]int{p.Take(i)})
		}
	}
	if err := c.Receive(b, &p); err != fdpass.ErrWouldBlock || p.Len() != 0 {
		t.Errorf("%d connections and %v, want none and ErrWouldBlock", p.Len(), err)
	}
}

// After an error the packet is what it was, and can be sent elsewhere.
func TestSendFailsWithoutLoss(t *testing.T) {
	var c PacketConn
	tests := []struct {
		name  string
		spoil func(t *testing.T, p *Packet, a, b int)
		want  error
	}{
		{"the other end is closed", func(_ *testing.T, _ *Packet, _, b int) { fdpass.CloseAll([]int{b}) }, fdpass.ErrPeerClosed},
		{"the queue is full", func(_ *testing.T, _ *Packet, a, _ int) {
			for c.sender.Send(a, []byte("x"), nil) == nil {
			}
		}, fdpass.ErrWouldBlock},
		{"a descriptor is not open", func(_ *testing.T, p *Packet, _, _ int) { p.Add(&Envelope{ID: 2}, -1) }, unix.EBADF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := queue(t)
			var p Packet
			t.Cleanup(p.Close)
			fd := null(t)
			p.Add(&Envelope{ID: 1}, fd)
			test.spoil(t, &p, a, b)
			count := p.Len()
			err := c.Send(a, &p)
			if !errors.Is(err, test.want) || p.Len() != count || p.FD(0) != fd {
				t.Errorf("got %v, %d connections, descriptor %d; want %v, %d, %d",
					err, p.Len(), p.FD(0), test.want, count, fd)
			}
		})
	}
}

// Whatever comes, with whatever descriptors: none is left behind.
func FuzzReceive(f *testing.F) {
	for _, golden := range goldenPackets() {
		for _, count := range []byte{0, 1, 2, byte(len(golden.envelopes)), fdpass.MaxFDs} {
			f.Add(encoded(f, golden.envelopes...), count)
		}
	}
	for count := range byte(4) {
		f.Add(encodedLarge(Envelope{ID: 1, Listener: "web"}), count)
	}
	a, b, err := fdpass.Pair()
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { fdpass.CloseAll([]int{a, b}) })
	file := null(f)
	f.Cleanup(func() { fdpass.CloseAll([]int{file}) })
	var c PacketConn
	var p Packet
	f.Fuzz(func(t *testing.T, packet []byte, count byte) {
		fds := slices.Repeat([]int{file}, min(int(count), fdpass.MaxFDs))
		before := lowestFree(t)
		err := c.sender.Send(a, packet, fds)
		if err != nil {
			return // empty, or too long for the socket
		}
		err = c.Receive(b, &p)
		if err == nil && len(p.Descriptors()) != len(fds) {
			t.Errorf("%d connections, large: %v, of %d descriptors", p.Len(), p.Large(), len(fds))
		}
		if err != nil && p.Len() != 0 {
			t.Errorf("%d connections after %v", p.Len(), err)
		}
		p.Close()
		if after := lowestFree(t); after != before {
			t.Errorf("a descriptor is left: the lowest free one was %d and is %d, after %v", before, after, err)
		}
	})
}

// lowestFree returns the number that the next descriptor will get (open(2)).
func lowestFree(t *testing.T) int {
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	return fd
}

func BenchmarkPacketConn(b *testing.B) {
	for _, count := range []int{1, MaxConns} {
		b.Run(map[int]string{1: "one", MaxConns: "64"}[count], func(b *testing.B) {
			x, y := queue(b)
			file := null(b)
			b.Cleanup(func() { fdpass.CloseAll([]int{file}) })
			e := Envelope{ID: 1, Remote: netip.MustParseAddrPort("192.0.2.1:4000"), Local: netip.MustParseAddrPort("0.0.0.0:80")}
			var c PacketConn
			var sent, got Packet
			var decoded Envelope
			b.ReportAllocs()
			for b.Loop() {
				for range count {
					sent.Add(&e, file)
				}
				if err := c.sender.Send(x, sent.encode(), sent.fds[:count]); err != nil {
					b.Fatal(err)
				}
				sent.Reset()
				if err := c.Receive(y, &got); err != nil {
					b.Fatal(err)
				}
				for i := range got.Len() {
					if err := got.Decode(i, &decoded); err != nil {
						b.Fatal(err)
					}
				}
				got.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*count), "ns/connection")
		})
	}
}
