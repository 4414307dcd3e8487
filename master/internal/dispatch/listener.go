package dispatch

import (
	"bytes"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// Listener is what to accept from at one address. Its sockets are borrowed as long as it
// is among those that New, or the latest Configure, was given. Until then they stay open,
// so FD tells one Listener from another.
type Listener struct {
	Name      string         // for the envelopes of its connections; empty: none
	Transport uint8          // likewise: the number of what their bytes pass; 0: nothing
	Address   string         // where it is bound, for the log
	Bound     netip.AddrPort // the same; invalid for a Unix socket
	FD        int            // the accept goroutine's socket
	More      []int          // further sockets at the same address, for subacceptors
	Shared    bool           // it is another process's too, which goes on to listen

	count *listenerCount // set when it is accepted from
}

// listenSocket is a socket that is accepted from; it is borrowed.
type listenSocket struct {
	fd       int
	listener *Listener
	watched  bool // it is in the epoll set
}

// sockets returns all that listen.
func (l *Listener) sockets() []int { return append([]int{l.FD}, l.More...) }

// envelope is what all connections have in common that come to it at a time.
func (l *Listener) envelope(accepted time.Duration) ipc.Envelope {
	return ipc.Envelope{Local: l.Bound, Listener: l.Name, Transport: l.Transport, Accepted: accepted}
}

// stopQueueing lets no further client wait at a listener that is about to close: those that
// come are refused, and not reset by its close.
func (l *Listener) stopQueueing() {
	if l.Shared {
		return
	}
	for _, fd := range l.sockets() {
		if l.Bound.IsValid() {
			_ = unix.Listen(fd, 0) // it listens; shutdown(2) would reset those that wait
		} else {
			_ = unix.Shutdown(fd, unix.SHUT_RD) // those that wait can be accepted
		}
	}
}

// reconfigure is Configure.
func (g *acceptGoroutine) reconfigure(r configureRequest) {
	g.configure(r.settings)
	g.stopSubacceptors()
	defer g.startSubacceptors()
	g.watchListeners(false)
	for _, l := range g.listeners {
		if !slices.ContainsFunc(r.listeners, func(kept Listener) bool { return kept.FD == l.FD }) {
			l.stopQueueing()
			g.takeBacklog(l)
		}
	}
	g.setListeners(r.listeners)
}

// closeListeners is CloseListeners.
func (g *acceptGoroutine) closeListeners() {
	g.stopSubacceptors()
	for _, l := range g.listeners {
		l.stopQueueing()
	}
	g.takeAllPending()
	g.refusePending()
	for _, l := range g.listeners {
		g.takeBacklog(l)
	}
	g.watchListeners(false)
	g.setListeners(nil)
}

// setListeners has the accept goroutine accept from these. None of the earlier ones is in
// the epoll set.
func (g *acceptGoroutine) setListeners(listeners []Listener) {
	g.listeners, g.ready, g.sockets = nil, nil, nil
	for _, l := range listeners {
		l.count = g.acceptCounts.of(l.Name, l.Address)
		g.listeners = append(g.listeners, &l)
		g.sockets = append(g.sockets, listenSocket{fd: l.FD, listener: &l})
	}
}

// takeBacklog accepts what already waits at a listener, and nothing more, however
// fast clients come, as far as there is room. The subacceptors are stopped.
func (g *acceptGoroutine) takeBacklog(l *Listener) {
	for _, socket := range l.sockets() {
		for left := clientsWaiting(socket); left > 0; {
			g.dispatcher.capacity = g.dispatcher.measure()
			g.placeAll()
			quota := min(g.quota(), left)
			if _, more := g.acceptFrom(l, socket, quota); quota == 0 || !more {
				break
			}
			left -= quota
		}
	}
}

// clientsWaiting returns how many clients wait at a listening socket, or the most that
// may, if the kernel does not tell.
func clientsWaiting(socket int) int {
	// Of one that listens it is the length of the queue (tcp_get_info in the
	// kernel's net/ipv4/tcp.c).
	if info, err := unix.GetsockoptTCPInfo(socket, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		return int(info.Unacked)
	}
	const usual = 4096
	text, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		return usual
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || n < 0 {
		return usual
	}
	return n + 1 // the kernel takes one more than the backlog
}

// watchListeners puts all listeners into the epoll set, or takes them out.
func (g *acceptGoroutine) watchListeners(on bool) {
	if !watch(g.sockets, on, g.set, g.log) {
		g.timers.retryAt = time.Now().Add(time.Second)
	}
}

// watch puts sockets into an epoll set, each with its place as the tag, or takes them out.
// It reports whether all are as they should be, and logs why one is not.
func watch(sockets []listenSocket, on bool, set *poller.Set, log hclog.Logger) (ok bool) {
	ok = true
	for i := range sockets {
		socket := &sockets[i]
		switch {
		case socket.watched == on:
		case !on:
			_ = set.Del(socket.fd) // it is in the set: Del cannot fail
			socket.watched = false
		default:
			err := set.Add(socket.fd, poller.In, tagListener|uint64(i))
			if socket.watched = err == nil; err != nil {
				log.Error("cannot watch a listener, retrying", "listener", socket.listener.Address, "error", err)
				ok = false
			}
		}
	}
	return ok
}
