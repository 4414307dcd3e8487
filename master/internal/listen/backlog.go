package listen

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// SetBacklog bounds how many clients wait in the kernel at each socket; 0: as many as
// it allows. listen(2) may be called again for that. What cannot be changed is logged.
func SetBacklog(listeners []*Listener, n int, log hclog.Logger) {
	for _, l := range listeners {
		for _, socket := range l.Sockets() {
			if err := unix.Listen(socket, backlogOr(n)); err != nil {
				log.Warn("cannot change the backlog", "listener", l.Address, "limit", n, "error", fmt.Errorf("listen: %w", err))
			}
		}
	}
}

// backlogOr returns n, or for 0 as many as the kernel allows: listen(2) cuts
// larger values to somaxconn.
func backlogOr(n int) int {
	if n == 0 {
		return 1<<31 - 1
	}
	return n
}

// StopQueueing has no further client wait at a listener that is about to close, so
// that those that come are refused, and not reset by its close. One that systemd
// passed is systemd's too, for the next who asks for it, and goes on.
func (l *Listener) StopQueueing() {
	if l.From.Network == "systemd" {
		return
	}
	for _, fd := range l.Sockets() {
		if l.Bound.IsValid() {
			_ = unix.Listen(fd, 0) // it listens; shutdown(2) would reset those that wait
		} else {
			_ = unix.Shutdown(fd, unix.SHUT_RD) // those that wait can be accepted
		}
	}
}

// Waiting returns how many clients wait at a listening socket, or the most that
// may, if the kernel does not tell. It borrows the socket.
func Waiting(socket int) int {
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
