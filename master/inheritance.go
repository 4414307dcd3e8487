package master

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// inheritance is the sockets that systemd passed (sd_listen_fds(3)).
type inheritance struct {
	files []*os.File // owned; nil once taken
}

// inherit takes what systemd passed to this process out of its environment,
// so that workers do not take it for theirs. The caller closes it.
func inherit() (*inheritance, error) {
	if err := checkPassed(); err != nil {
		return nil, err
	}
	return &inheritance{files: activation.Files(true)}, nil
}

// checkPassed refuses a number of sockets that cannot be: activation believes it.
func checkPassed() error {
	text, passed := os.LookupEnv("LISTEN_FDS")
	if !passed || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil // nothing, or it is meant for another
	}
	const first, most = 3, 1 << 20 // sd_listen_fds(3); the kernel's usual bound of descriptors (nr_open in proc(5))
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return fmt.Errorf("%w: LISTEN_FDS is %q, want the number of sockets that systemd passes", ErrConfig, text)
	}
	for fd := first; fd < first+n; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return fmt.Errorf("%w: LISTEN_FDS is %d, but descriptor %d is not open", ErrConfig, n, fd)
		}
	}
	return nil
}

// take returns the sockets that address asks for by name, or all that are left.
func (h *inheritance) take(address Address) (listeners []*listener, err error) {
	for i, file := range h.files {
		if file == nil || address.Inherited != "" && address.Inherited != file.Name() {
			continue
		}
		h.files[i] = nil
		l, err := adopt(file)
		if err != nil {
			closeListeners(listeners)
			return nil, fmt.Errorf("socket %s from systemd: %w", file.Name(), err)
		}
		l.from, l.name = address, address.Name
		if l.name == "" && !strings.HasPrefix(file.Name(), "LISTEN_FD_") { // which stands for no name
			l.name = file.Name()
		}
		if len(l.name) > ipc.MaxNameInBatch {
			closeListeners(append(listeners, l))
			return nil, fmt.Errorf("socket %s from systemd: a name of %d bytes, at most %d; see FileDescriptorName=", l.name, len(l.name), ipc.MaxNameInBatch)
		}
		listeners = append(listeners, l)
	}
	if len(listeners) == 0 {
		return nil, errors.New("systemd passed no such socket; start this as the service of a .socket unit, and see FileDescriptorName= there")
	}
	return listeners, nil
}

// adopt makes a listener of a file. It takes ownership of it, even on error.
func adopt(file *os.File) (*listener, error) {
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, err := duplicate(raw)
	if err != nil {
		return nil, err
	}
	l, err := adoptSocket(fd)
	if err != nil {
		_ = unix.Close(fd) // the first error is the one to report
	}
	return l, err
}

// adoptSocket checks and configures what systemd bound. It borrows fd on error.
func adoptSocket(fd int) (*listener, error) {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt", err)
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt", err)
	}
	if listening == 0 || kind != unix.SOCK_STREAM {
		return nil, errors.New("not a listening stream socket; it needs ListenStream= and Accept=no")
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := dontLinger(fd); err != nil { // accepted connections inherit that too
		return nil, os.NewSyscallError("setsockopt", err)
	}
	l, err := describeSocket(fd)
	if err != nil {
		return nil, err
	}
	if l.addr.IsValid() {
		err = setOptions(fd, inheritedOptions)
	}
	return l, err
}

// close closes what nobody asked for.
func (h *inheritance) close() {
	for _, file := range h.files {
		if file != nil {
			_ = file.Close() // a listener has nothing to flush
		}
	}
}
