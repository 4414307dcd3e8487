package master

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
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
	if err := clearPath(path, "master", "give this one another path with --control"); err != nil {
		return nil, err
	}
	old := unix.Umask(0o177) // the socket is created with mode 0600, not changed to it later
	listener, err := net.Listen("unix", path)
	unix.Umask(old)
	return listener, err
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
