package poller

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// parking waits for a set in the runtime's own poller, where goroutines wait that
// read from a socket of package net, if the set has a descriptor that is readable while
// it has events. Nothing of the process is held meanwhile, no thread and no P. For
// itself such a wait costs twice a raw one, but in a process that lives by its
// other goroutines it is the cheapest: a wait that blocks a thread wakes the
// runtime's monitor, and often another thread.
type parking struct {
	file    *os.File // owns the set's descriptor
	conn    syscall.RawConn
	limited bool // the file has a deadline

	look   func(fd uintptr) bool // looks into the set, and reports whether that ends the wait
	events []Event               // where look puts what is ready
	n      int                   // what look has found: so many events, or
	errno  syscall.Errno         // an error
}

// newParking takes ownership of the set's descriptor, even on error: closing its file
// closes it.
func newParking(s *Set, fd int, name string) (*parking, error) {
	nonblock := unix.SetNonblock(fd, true) // else the runtime's poller does not take it
	p := &parking{file: os.NewFile(uintptr(fd), name)}
	p.look = func(uintptr) bool {
		p.n, p.errno = s.look(p.events)
		return p.n > 0 || p.errno != 0
	}
	var err error
	if p.conn, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // fails unless the poller has it
	}
	if nonblock != nil {
		err = os.NewSyscallError("fcntl", nonblock)
	}
	return p, err
}

// wait is Wait for any timeout but 0.
func (p *parking) wait(s *Set, events []Event, timeout time.Duration) (int, error) {
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
		p.n, p.errno = s.look(events) // it may be over before the look
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
