package dispatch

import (
	"bytes"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/usher-go/usher/internal/poller"
	"golang.org/x/sys/unix"
)

// Listener is what to accept from at one address. Its sockets are borrowed for as long
// as it is among those that New or Configure were given; so long no other has their
// numbers, and FD tells which one it is.
type Listener struct {
	Name    string         // that its connections carry; empty: none
	Address string         // where it is bound, for the log
	Bound   netip.AddrPort // the same; invalid for a Unix socket
	FD      int
	More    []int // further sockets at the same address, for subacceptors
	Shared  bool  // it is another process's too, which goes on to listen
}

// listenSocket is a socket that is accepted from; it is borrowed.
type listenSocket struct {
	fd       int
	listener *Listener
	watched  bool // it is in the epoll set
}

// sockets returns all that listen.
func (l *Listener) sockets() []int { return append([]int{l.FD}, l.More...) }

// stopQueueing has no further client wait at a listener that is about to close, so
// that those that come are refused, and not reset by its close.
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

// Configure puts settings in force, and has these listeners accepted from. What
// already waits at one that is not among them any more is accepted first, as far as
// there is room; when it returns, its sockets may be closed.
func (a *Acceptor) Configure(s Settings, listeners []Listener) { a.ask(configureRequest{s, listeners}) }

// reconfigure is Configure.
func (a *Acceptor) reconfigure(r configureRequest) {
	a.configure(r.settings)
	a.stopSubacceptors()
	defer a.startSubacceptors()
	a.watchListeners(false)
	for _, l := range a.listeners {
		if !slices.ContainsFunc(r.listeners, func(kept Listener) bool { return kept.FD == l.FD }) {
			l.stopQueueing()
			a.takeBacklog(l)
		}
	}
	a.setListeners(r.listeners)
}

// CloseListeners accepts what already waits in the backlogs, as far as there is room,
// and then nothing more. When it returns, the sockets may be closed.
func (a *Acceptor) CloseListeners() { a.ask(closeListenersRequest{}) }

// closeListeners is CloseListeners.
func (a *Acceptor) closeListeners() {
	a.stopSubacceptors()
	for _, l := range a.listeners {
		l.stopQueueing()
	}
	a.takeAllPending()
	a.refusePending()
	for _, l := range a.listeners {
		a.takeBacklog(l)
	}
	a.watchListeners(false)
	a.setListeners(nil)
}

// setListeners has the accept goroutine accept from these. None is in the epoll set.
func (a *Acceptor) setListeners(listeners []Listener) {
	a.listeners, a.ready, a.sockets = nil, nil, nil
	for _, l := range listeners {
		a.listeners = append(a.listeners, &l)
		a.sockets = append(a.sockets, listenSocket{fd: l.FD, listener: &l})
	}
}

// takeBacklog accepts what already waits at a listener, and nothing more, however
// fast clients come, as far as there is room. The subacceptors are stopped.
func (a *Acceptor) takeBacklog(l *Listener) {
	for _, socket := range l.sockets() {
		for left := clientsWaiting(socket); left > 0; {
			a.dispatcher.capacity = a.dispatcher.measure()
			a.placeAll()
			quota := min(a.quota(), left)
			if _, more := a.acceptFrom(l, socket, quota); quota == 0 || !more {
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
func (a *Acceptor) watchListeners(on bool) {
	for i := range a.sockets {
		if on {
			a.watch(&a.sockets[i], uint64(i))
		} else {
			a.unwatch(&a.sockets[i])
		}
	}
}

func (a *Acceptor) watch(s *listenSocket, index uint64) {
	if s.watched {
		return
	}
	if err := a.set.Add(s.fd, poller.In, tagListener|index); err != nil {
		a.log.Error("cannot watch a listener, retrying", "listener", s.listener.Address, "error", err)
		a.timers.retryAt = time.Now().Add(time.Second)
		return
	}
	s.watched = true
}

func (a *Acceptor) unwatch(s *listenSocket) {
	if s.watched {
		_ = a.set.Del(s.fd) // it is in the set: Del cannot fail
		s.watched = false
	}
}
