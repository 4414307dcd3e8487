// Package closewatch learns from the kernel when sockets are closed that belong to
// somebody else.
//
// A worker's loop uses it for connections that it has given to its program by a
// net.Listener. It never reads, writes or closes them; it has no goroutine, and its
// descriptor can be waited for by a loop.
package closewatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Watch learns from the kernel when sockets are closed, whoever closes
// them: an inotify(7) instance with a one-shot watch on each socket's inode.
//
// A worker counts by it the connections that belong to its program. Nothing in Go
// tells when a *net.TCPConn is closed, short of asking it, and a wrapper would not be
// a *net.TCPConn; epoll forgets in silence what is closed; and a duplicate, kept to find
// out, would keep the connection open.
//
// The event comes once, when the last descriptor of the socket is closed, in
// this process or another: from within close(2), when the number is free already.
// So a socket that was duplicated (File, a child) is reported when it is really closed.
// Watches are a resource of the user: each socket takes one of
// fs.inotify.max_user_watches, and each Watch one of max_user_instances.
//
// A Watch belongs to one goroutine. No method blocks.
type Watch struct {
	fd     int        // owned
	path   []byte     // scratch space
	buffer [4096]byte // 256 events
}

// eventSize is the size of struct inotify_event. A name follows it only for what is in a
// folder.
const eventSize = unix.SizeofInotifyEvent

var errNoCloseEvents = errors.New("the kernel does not report the close of a socket by inotify")

// New returns a Watch that has been seen to work. The caller closes it.
func New() (*Watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("%w (see fs.inotify.max_user_instances)", os.NewSyscallError("inotify_init1", err))
	}
	w := &Watch{fd: fd}
	if err := w.try(); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// try watches a socket of its own, closes it, and sees whether that is reported.
func (w *Watch) try() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[1])
	watched, err := w.Add(pair[0])
	_ = unix.Close(pair[0]) // nothing was written
	if err != nil {
		return err
	}
	seen := false
	w.Take(func(closed int32) { seen = closed == watched }, func() {})
	if !seen {
		return errNoCloseEvents
	}
	return nil
}

// Add watches a socket and returns a number, which Take will give once. It borrows fd
// for the call.
func (w *Watch) Add(fd int) (int32, error) {
	w.path = append(w.path[:0], "/proc/self/fd/"...)
	w.path = append(strconv.AppendInt(w.path, int64(fd), 10), 0)
	for {
		number, _, errno := syscall.RawSyscall(unix.SYS_INOTIFY_ADD_WATCH, uintptr(w.fd),
			uintptr(unsafe.Pointer(&w.path[0])), unix.IN_CLOSE|unix.IN_ONESHOT)
		switch errno {
		case 0:
			return int32(number), nil
		case unix.EINTR:
		case unix.ENOSPC:
			return 0, fmt.Errorf("%w (see fs.inotify.max_user_watches)", os.NewSyscallError("inotify_add_watch", errno))
		default:
			return 0, os.NewSyscallError("inotify_add_watch", errno)
		}
	}
}

// FD returns the descriptor, which is readable while Take has something. The watch
// still owns it.
func (w *Watch) FD() int { return w.fd }

// Take calls closed with the number of each socket that was closed. It calls missed when
// the kernel's queue was full (fs.inotify.max_queued_events): then some are never
// reported.
func (w *Watch) Take(closed func(watch int32), missed func()) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(w.fd), uintptr(unsafe.Pointer(&w.buffer[0])), uintptr(len(w.buffer)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return // EAGAIN: that was all
		}
		for event := w.buffer[:n]; len(event) >= eventSize; event = event[eventSize:] {
			// struct inotify_event: i32 wd, u32 mask, u32 cookie, u32 len.
			watch, mask := int32(binary.NativeEndian.Uint32(event)), binary.NativeEndian.Uint32(event[4:])
			switch {
			case mask&unix.IN_Q_OVERFLOW != 0:
				missed()
			case mask&unix.IN_CLOSE != 0:
				closed(watch)
			}
		}
		if int(n)+2*eventSize <= len(w.buffer) {
			return // there was room for another event: that was all
		}
	}
}

// Close closes the instance, and with it ends all watches.
func (w *Watch) Close() { _ = unix.Close(w.fd) } // it has nothing to flush
