package dispatch

import (
	"net/netip"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/backoff"
	"golang.org/x/sys/unix"
)

// acceptLoop takes connections from listening sockets: the accept goroutine has one, and so
// has each subacceptor. A lack of descriptors, or the like, ends nothing: it is logged, and
// there is a pause.
type acceptLoop struct {
	log    hclog.Logger
	counts *acceptCounts
	pause  backoff.Backoff
	peer   unix.RawSockaddrAny
	conns  [ipc.MaxConns]acceptedConn
}

// acceptedConn is a connection as accept4(2) returns it.
type acceptedConn struct {
	fd   int // owned
	peer netip.AddrPort
}

// take accepts at most n connections from one of a listener's sockets, and no more than
// a packet holds, without blocking. Those returned are the caller's; the slice is valid
// until the next call. more is false when nothing waits there any more, or the socket
// cannot be accepted from now.
func (a *acceptLoop) take(l *Listener, socket, n int) (conns []acceptedConn, more bool) {
	conns, more = a.accept(l, socket, n)
	if len(conns) > 0 && l.count != nil {
		l.count.accepted.Add(uint64(len(conns)))
	}
	return conns, more
}

func (a *acceptLoop) accept(l *Listener, socket, n int) (conns []acceptedConn, more bool) {
	conns = a.conns[:0]
	for range min(n, len(a.conns)) {
		fd, peer, errno := acceptOne(socket, &a.peer)
		if errno == 0 {
			conns = append(conns, acceptedConn{fd, peer})
			continue
		}
		if errno != unix.EAGAIN {
			a.counts.failed(errno)
		}
		switch classify(errno) {
		case acceptEmpty:
			a.pause.Reset()
			return conns, false
		case acceptPause:
			a.log.Warn("cannot accept, retrying", "listener", l.Address, "error", errno, "after", a.pause.Grow(time.Now()))
			return conns, false
		}
	}
	a.pause.Reset()
	return conns, true
}
