package poller

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// parking waits for a set in the runtime's own poller, where goroutines wait that
// read from a socket of package net: a set is readable while it has events
// (epoll(7)). Nothing of the process is held meanwhile, no thread and no P. For
// itself such a wait costs twice a raw one, but in a process that lives by its
// other goroutines it is the cheapest: a wait that blocks a thread wakes the
// runtime's monitor, and often another thread.
type parking struct {
	file    *os.File // owns the set's descriptor
	conn    syscall.RawConn
	limited bool // the file has a deadline

	look   func(fd uintptr) bool
	events []Event // where look puts them
	n      int
	errno  syscall.Errno
}

// Park makes every further Wait park its goroutine, which is not to be locked to
// its thread then. It is called before the first Wait.
func (s *Set) Park() error {
	if err := unix.SetNonblock(s.fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	p := &parking{file: os.NewFile(uintptr(s.fd), "epoll")}
	var err error
	if p.conn, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // fails unless the poller has it
	}
	s.parking = p // from here on the file closes the descriptor
	p.look = func(fd uintptr) bool {
		p.n, p.errno = look(int(fd), p.events)
		return p.n > 0 || p.errno != 0
	}
	return err
}

func (p *parking) wait(set int, events []Event, timeout time.Duration) (int, error) {
	if p.limited || timeout > 0 {
		var until time.Time
		if p.limited = timeout > 0; p.limited {
			until = time.Now().Add(timeout)
		}
		if err := p.file.SetReadDeadline(until); err != nil {
			return 0, err
		}
	}
	p.events = events
	err := p.conn.Read(p.look)
	p.events = nil
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.n, p.errno = look(set, events) // it may be over before the look
		err = nil
	}
	if err != nil {
		return 0, err
	}
	if p.errno != 0 {
		return 0, os.NewSyscallError(waitCall, p.errno)
	}
	return p.n, nil
}
