package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// control serves HTTP on a Unix socket. What it can be asked is in api.go.
//
// It can pause: then clients wait in the socket's backlog, and a successor of
// this process can go on with it.
type control struct {
	path   string
	socket int // owned; each server has a duplicate
	file   *socketFile
	api    http.Handler
	log    hclog.Logger

	mu      sync.Mutex
	server  *http.Server
	serving chan struct{} // closed when that server accepts no more
	ended   bool
	again   chan struct{}  // has room for one: serve on, or end
	clients sync.WaitGroup // connections of the server, from accept to close
}

// greeter counts what is accepted: the server itself knows of a client only a
// moment later, and could be shut down in between.
type greeter struct {
	net.Listener
	clients *sync.WaitGroup
}

func (g greeter) Accept() (net.Conn, error) {
	conn, err := g.Listener.Accept()
	if err == nil {
		g.clients.Add(1)
	}
	return conn, err
}

// newControl takes the path, which may be left over from a dead master.
func newControl(path string, s *supervisor) (*control, error) {
	socket, err := listenControl(path)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	return inheritControl(path, socket, s), nil
}

// inheritControl takes ownership of a socket that listens at path.
func inheritControl(path string, socket int, s *supervisor) *control {
	return &control{
		path: path, socket: socket, file: newSocketFile(path), api: newAPI(s), log: s.log,
		again: make(chan struct{}, 1),
	}
}

// listenControl returns an owned descriptor.
func listenControl(path string) (int, error) {
	if err := clearPath(path, "master", "give this one another path with --control"); err != nil {
		return -1, err
	}
	old := unix.Umask(0o177) // the socket is created with mode 0600, not changed to it later
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return -1, err
	}
	listener.SetUnlinkOnClose(false)
	defer listener.Close() // it lives on in the duplicate
	raw, err := listener.SyscallConn()
	if err != nil {
		return -1, err
	}
	return duplicate(raw)
}

// run serves until interrupt, with pauses.
func (c *control) run() error {
	for {
		server, listener, err := c.open()
		if err == nil && server == nil {
			return nil
		}
		if err == nil {
			err = server.Serve(greeter{listener, &c.clients})
			close(c.serving)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("control socket %s: %w", c.path, err)
		}
		<-c.again
	}
}

// open makes a server, unless it is over.
func (c *control) open() (*http.Server, net.Listener, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, nil, nil
	}
	fd, err := unix.FcntlInt(uintptr(c.socket), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	file := fileOf(fd, c.path)
	defer file.Close() // the listener has a duplicate
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, nil, err
	}
	c.serving = make(chan struct{})
	c.server = &http.Server{
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed || state == http.StateHijacked {
				c.clients.Done()
			}
		},
		Handler:           c.api,
		ErrorLog:          c.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       5 * time.Second,
	}
	return c.server, listener, nil
}

// lastAnswers is how long those whose requests are under way may take: to get
// what they asked for, and to read it.
const lastAnswers = time.Second

// pause returns when every request has its answer, or was given up, and no
// further one is read. It blocks for up to lastAnswers.
func (c *control) pause() {
	c.mu.Lock()
	server, serving := c.server, c.serving
	c.mu.Unlock()
	if server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	_ = server.Shutdown(ctx) // what is left then is closed below
	<-serving
	gone := make(chan struct{})
	go func() {
		c.clients.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-ctx.Done():
		_ = server.Close() // the rest
	}
}

// resume ends a pause.
func (c *control) resume() {
	select {
	case c.again <- struct{}{}:
	default: // it was told already
	}
}

// interrupt ends serving, removes the socket, and closes every client that has
// its answer. It may be called again, and if run never was.
func (c *control) interrupt(error) {
	c.mu.Lock()
	first := !c.ended
	c.ended = true
	c.mu.Unlock()
	if !first {
		return
	}
	c.file.remove()
	c.pause()
	c.resume()
	_ = unix.Close(c.socket) // a listener has nothing to flush
}
