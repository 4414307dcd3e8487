package dispatch

import (
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// discarder closes what a worker has sent and nobody is to have. It may be anything:
// a file of a file system that does not answer, whose close(2) never returns, so
// that no goroutine that serves may call it. The zero value is ready to use.
type discarder struct {
	mu    sync.Mutex
	files []int // owned: to be closed
	on    bool  // a goroutine closes them
}

// discard takes ownership of the descriptors; those below 0 are none. It does not
// block. Sockets are closed at once, since they are cheap to send by the thousand;
// files one after the other, by a goroutine that ends when none is left.
func (d *discarder) discard(fds []int) {
	for _, fd := range fds {
		switch {
		case fd < 0:
		case dontLinger(fd) == nil:
			closeConn(fd)
		default:
			d.add(fd)
		}
	}
}

func (d *discarder) add(fd int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files = append(d.files, fd)
	if !d.on {
		d.on = true
		go d.run()
	}
}

func (d *discarder) run() {
	for {
		d.mu.Lock()
		files := d.files
		d.files, d.on = nil, len(files) > 0
		d.mu.Unlock()
		if len(files) == 0 {
			return
		}
		for _, fd := range files {
			_ = unix.Close(fd) // what it says is nobody's business
		}
	}
}

// closeConn closes a client's socket, of which it takes ownership, without waiting
// for a client that reads slowly: the raw call is as in package ipc, which closes
// what was sent. That of a Unix socket may close sockets that its client has sent
// on it, and they may have SO_LINGER.
func closeConn(fd int) {
	_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) // nothing can be done about a failed close
}

// dontLinger has close(2) of a socket, which it borrows, not wait until everything
// is sent (socket(7)): the kernel sends it in any case. The error is ENOTSOCK for
// what is no socket.
func dontLinger(fd int) error {
	return unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
}
