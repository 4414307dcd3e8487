package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// control serves HTTP on a Unix socket. What it can be asked is in api.go.
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
	return &control{path: path, listener: listener, server: &http.Server{
		Handler:           newAPI(s),
		ErrorLog:          s.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
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

// lastAnswers is how long those who asked for the end may take to read that it
// has come.
const lastAnswers = time.Second

// interrupt closes the listener, which removes the socket, and then every
// client that has its answer. It may be called again, and if run never was.
func (c *control) interrupt(error) {
	ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		_ = c.server.Close() // the rest; the master ends, there is nobody to tell
	}
	_ = c.listener.Close() // the server has closed it if it served
}
