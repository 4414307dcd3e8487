package main

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

type stopCommand struct {
	controlFlag `embed:""`

	Now bool `env:"" help:"Do not wait for connections to finish."`
}

// Help is what usher stop --help adds.
func (stopCommand) Help() string {
	return `It waits until every connection is closed, by its client or its worker, or the server's --drain-timeout is over: 30s unless it was set. What is still open then is cut. With --now all is cut at once, also of a server that is stopping already.`
}

// Run returns when the master has ended, so that another can be started.
func (c *stopCommand) Run() error {
	conn, err := dialMaster(c.Control)
	if err != nil {
		return err
	}
	pidfd := processOf(conn)
	if pidfd >= 0 {
		defer unix.Close(pidfd)
	}
	hide := showProgress(os.Stderr, c.Control, "stopping")
	err = postOver(conn, "/v1/stop", map[string]bool{"now": c.Now}, &struct{}{})
	hide()
	if err != nil {
		return err
	}
	if pidfd >= 0 {
		if err := waitEnd(pidfd); err != nil {
			return err
		}
	}
	_, err = fmt.Println("stopped")
	return err
}

// processOf returns an owned descriptor (pidfd_open(2)) of the process that
// listens at the other end, or -1 if that cannot be seen from here: it is in
// another pid namespace, or the kernel is older than 5.3.
func processOf(conn *net.UnixConn) (pidfd int) {
	peer, err := peerOf(conn)
	if err != nil || peer.PID == 0 {
		return -1
	}
	pidfd, err = unix.PidfdOpen(peer.PID, 0)
	if err != nil {
		return -1
	}
	return pidfd
}

// waitEnd waits for the end of a process.
func waitEnd(pidfd int) error {
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, -1)
		if err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
	}
}
