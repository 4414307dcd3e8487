package master

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// This file is the end of a listener: what waits there when it comes is accepted,
// and nothing more, however fast clients come.

// takeBacklog accepts what already waits at a listener, as far as there is room.
// The greeters are dismissed.
func (a *acceptor) takeBacklog(l *listener) {
	for _, socket := range l.sockets() {
		for left := waiting(socket); left > 0; {
			a.dispatcher.survey()
			a.settle()
			quota := min(a.quota(), left)
			if _, v := a.acceptFrom(l, socket, quota); quota == 0 || v != acceptNext {
				break
			}
			left -= quota
		}
	}
}

// stopQueueing has no further client wait at a listener that is about to close, so
// that those that come are refused, and not reset by its close. One that systemd
// passed is systemd's too, for the next who asks for it, and goes on.
func (l *listener) stopQueueing() {
	if l.from.Network == "systemd" {
		return
	}
	for _, fd := range l.sockets() {
		if l.addr.IsValid() {
			_ = unix.Listen(fd, 0) // it listens; shutdown(2) would reset those that wait
		} else {
			_ = unix.Shutdown(fd, unix.SHUT_RD) // those that wait can be accepted
		}
	}
}

// waiting returns how many clients wait at a listening socket, or the most that
// may, if the kernel does not tell.
func waiting(socket int) int {
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
