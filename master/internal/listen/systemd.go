package listen

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/descriptor"
	"golang.org/x/sys/unix"
)

// Passed is the sockets that systemd passed (sd_listen_fds(3)). The zero value has
// none.
type Passed struct {
	files []*os.File // owned; nil once taken
}

// TakePassed takes what systemd passed to this process out of its environment,
// so that workers do not take it for theirs. The caller closes it. An error is about
// the environment.
func TakePassed() (*Passed, error) {
	if err := checkPassed(); err != nil {
		return nil, err
	}
	return &Passed{files: activation.Files(true)}, nil
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
		return fmt.Errorf("LISTEN_FDS is %q, want the number of sockets that systemd passes", text)
	}
	for fd := first; fd < first+n; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return fmt.Errorf("LISTEN_FDS is %d, but descriptor %d is not open", n, fd)
		}
	}
	return nil
}

// take returns the sockets that address asks for by name, or all that are left.
func (p *Passed) take(address Address) (listeners []*Listener, err error) {
	for i, file := range p.files {
		if file == nil || address.Inherited != "" && address.Inherited != file.Name() {
			continue
		}
		p.files[i] = nil
		l, err := adopt(file)
		if err != nil {
			CloseAll(listeners)
			return nil, fmt.Errorf("socket %s from systemd: %w", file.Name(), err)
		}
		l.From, l.Name = address, address.Name
		if l.Name == "" && !strings.HasPrefix(file.Name(), "LISTEN_FD_") { // which stands for no name
			l.Name = file.Name()
		}
		if len(l.Name) > ipc.MaxNameInBatch {
			CloseAll(append(listeners, l))
			return nil, fmt.Errorf("socket %s from systemd: a name of %d bytes, at most %d; see FileDescriptorName=", l.Name, len(l.Name), ipc.MaxNameInBatch)
		}
		listeners = append(listeners, l)
	}
	if len(listeners) == 0 {
		return nil, errors.New("systemd passed no such socket; start this as the service of a .socket unit, and see FileDescriptorName= there")
	}
	return listeners, nil
}

// adopt makes a listener of a file. It takes ownership of it, even on error.
func adopt(file *os.File) (*Listener, error) {
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, err := descriptor.Duplicate(raw)
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
func adoptSocket(fd int) (*Listener, error) {
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
	if l.Bound.IsValid() {
		err = setOptions(fd, inheritedOptions)
	}
	return l, err
}

// Close closes what nobody asked for.
func (p *Passed) Close() {
	for _, file := range p.files {
		if file != nil {
			_ = file.Close() // a listener has nothing to flush
		}
	}
}
