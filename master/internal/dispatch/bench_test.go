package dispatch

import (
	"net/netip"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"golang.org/x/sys/unix"
)

// dialer connects without allocating.
type dialer struct {
	testing.TB
	to *unix.SockaddrInet4
}

func newDialer(t testing.TB, addr string) *dialer {
	target := netip.MustParseAddrPort(addr)
	return &dialer{t, &unix.SockaddrInet4{Port: int(target.Port()), Addr: target.Addr().As4()}}
}

// dial returns an owned, connected descriptor whose close sends RST, so that
// no port stays in TIME_WAIT.
func (d *dialer) dial() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		d.Fatal(err)
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		d.Fatal(err)
	}
	if err := unix.Connect(fd, d.to); err != nil {
		d.Fatal(err)
	}
	return fd
}

// One connection: connected, accepted, dispatched, received by a worker,
// closed at both ends: timed is what the master does of it.
func BenchmarkAcceptAndDispatch(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(map[int]string{1: "one", 64: "in64s"}[batch], func(b *testing.B) {
			r := newRig(b, 4000)
			w := r.addWorker(0, 10000)
			defer w.die()
			d := newDialer(b, r.addr)
			clients := make([]int, batch)
			r.do(func() { // on the accept goroutine, instead of its turns
				b.ReportAllocs()
				for i := 0; i < b.N; i += batch {
					b.StopTimer()
					for k := range clients {
						clients[k] = d.dial()
					}
					b.StartTimer()
					r.dispatcher.capacity = r.dispatcher.measure()
					if n, _ := r.acceptFrom(r.listeners[0], r.listeners[0].FD, batch); n != batch && batch != 1 {
						b.Errorf("accepted %d of %d", n, batch)
					}
					r.placeAll()
					b.StopTimer()
					w.receive(batch)
					for len(w.fds) > 0 {
						w.closeOne()
					}
					fdpass.CloseAll(clients)
					b.StartTimer()
				}
			})
		})
	}
}
