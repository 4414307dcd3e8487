package master

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// control serves HTTP on a Unix socket: GET /v1/status.
type control struct {
	path     string
	listener net.Listener
	server   *http.Server
}

// newControl takes the path, which may be left over from a dead master.
func newControl(path string, s *supervisor) (*control, error) {
	listener, err := listenControl(path)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		var status Status
		if !s.do(func() { status = s.status() }) {
			http.Error(w, "stopping", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(status) // the client has gone
	})
	return &control{path: path, listener: listener, server: &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       5 * time.Second,
	}}, nil
}

func listenControl(path string) (net.Listener, error) {
	if err := clearPath(path); err != nil {
		return nil, err
	}
	old := unix.Umask(0o177) // the socket is created with mode 0600, not changed to it later
	listener, err := net.Listen("unix", path)
	unix.Umask(old)
	return listener, err
}

// clearPath removes a dead master's socket, and refuses anything else.
func clearPath(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return errors.New("there is a file that is not a socket; remove it, or give another path with --control")
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		defer conn.Close()
		return fmt.Errorf("held by a live master (pid %d); stop that one, or give this one another path with --control", peerPID(conn))
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	}
	return err
}

// peerPID returns the pid of the process that listens at the other end, or 0.
func peerPID(conn net.Conn) (pid int) {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { // an error leaves pid 0
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}

func (c *control) run() error {
	if err := c.server.Serve(c.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket %s: %w", c.path, err)
	}
	return nil
}

// interrupt closes every client and the listener, which removes the socket. It
// may be called again, and if run never was.
func (c *control) interrupt(error) {
	_ = c.server.Close()   // the master ends; there is nobody to tell
	_ = c.listener.Close() // the server has closed it if it served
}
