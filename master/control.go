package master

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/master/internal/backoff"
	"github.com/usher-go/usher/master/internal/fileid"
	"github.com/usher-go/usher/master/internal/listen"
	"golang.org/x/sys/unix"
)

// control serves HTTP on a Unix socket, or, as the admin address, on one of TCP: one session after another (controlsession.go).
// What it can be asked is in api.go.
//
// It can pause: then clients wait in the socket's backlog, and the program that takes
// over in an upgrade can serve them. run is a goroutine of its own; the other methods
// may be called from any.
type control struct {
	config *Config // of its path
	api    http.Handler
	failed string // what the log says if it cannot be served for a while
	log    hclog.Logger

	mu      sync.Mutex
	socket  int // owned; each session has a duplicate
	file    listen.SocketFile
	changed sync.Cond // of paused or ended
	paused  bool
	ended   bool
	serving *session   // nil: not yet
	earlier []*session // of sockets that were replaced, whose clients may wait for an answer
}

// controlSocket is what the control socket's path is to be free for.
var controlSocket = listen.Purpose{Holder: "master", Other: "give this one another path with --control"}

// newControl takes the path, which may be left over from a dead master.
func newControl(config *Config, s *supervisor) (*control, error) {
	socket, file, err := bindControl(config)
	if err != nil {
		return nil, err
	}
	return restoreControl(config, socket, file, s), nil
}

// bindControl returns an owned socket that listens at the path of the
// configuration, with mode 0600, and its file.
func bindControl(config *Config) (socket int, file listen.SocketFile, err error) {
	if config.PrivateControl {
		if err := privateFolder(filepath.Dir(config.Control)); err != nil {
			return -1, listen.SocketFile{}, fmt.Errorf("control socket %s: %w; otherwise %s", config.Control, err, controlSocket.Other)
		}
	}
	socket, file, err = listen.Unix(config.Control, 0o600, controlSocket)
	if err != nil {
		err = fmt.Errorf("control socket %s: %w", config.Control, err)
	}
	return socket, file, err
}

// restoreControl takes ownership of a socket that listens at the configuration's path.
func restoreControl(config *Config, socket int, file listen.SocketFile, s *supervisor) *control {
	return newSocketServer(&control{
		config: config, socket: socket, file: file, api: newAPI(s), log: s.log,
		failed: "cannot serve the control socket, retrying",
	})
}

func newSocketServer(c *control) *control {
	c.changed.L = &c.mu
	return c
}

// run serves until interrupt, with pauses. Nothing else ends it: without descriptors
// to listen with it tries again, for clients are served meanwhile.
func (c *control) run() error {
	var pause backoff.Backoff
	for {
		session, err := c.open()
		if err == nil && session == nil {
			return nil
		}
		if err == nil {
			pause.Reset()
			err = session.server.Serve(session)
			close(session.over)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			delay := pause.Grow(time.Now())
			c.log.Warn(c.failed, "error", err, "after", delay)
			c.rest(delay)
		}
	}
}

// open begins a session as soon as there is no pause. It returns nil after interrupt.
func (c *control) open() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.paused && !c.ended {
		c.changed.Wait()
	}
	if c.ended {
		return nil, nil
	}
	fd, err := unix.FcntlInt(uintptr(c.socket), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), c.config.Control)
	defer file.Close() // the listener has a duplicate
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	c.serving = newSession(listener.(deadlineListener), c.api, c.log)
	return c.serving, nil
}

// rest returns after d, or when interrupt is called.
func (c *control) rest(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rested := false
	timer := time.AfterFunc(d, func() {
		c.mu.Lock()
		rested = true
		c.mu.Unlock()
		c.changed.Broadcast()
	})
	defer timer.Stop()
	for !rested && !c.ended {
		c.changed.Wait()
	}
}

// rebind makes the socket anew if its file was removed, by a cleaner of temporary files
// for example: otherwise nobody could ask for anything any more. Clients that have
// asked get their answers. It may block as long as a file system does.
func (c *control) rebind() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file.There() || c.paused || c.ended { // paused: the next program has the socket, or is about to
		return
	}
	socket, file, err := bindControl(c.config)
	if err != nil {
		c.log.Error("the control socket's file is gone, and cannot be made anew", "error", err)
		return
	}
	_ = unix.Close(c.socket) // a listener has nothing to flush
	c.socket, c.file = socket, file
	if c.serving != nil {
		c.earlier = append(slices.DeleteFunc(c.earlier, (*session).done), c.serving)
		c.serving.stopAccepting()
		c.serving = nil
	}
	c.log.Info("the control socket's file was gone, and is made anew", "path", c.config.Control)
}

// pause returns when every request has its answer, or was given up, and no
// further one is read. It blocks for up to lastAnswers.
func (c *control) pause() {
	c.mu.Lock()
	c.paused = true
	sessions := c.earlier
	if c.serving != nil {
		sessions = append(sessions, c.serving)
	}
	c.serving, c.earlier = nil, nil
	c.mu.Unlock()
	var all sync.WaitGroup
	for _, session := range sessions {
		all.Go(session.end)
	}
	all.Wait()
}

// handOver returns the socket, borrowed, and which file it has.
func (c *control) handOver() (socket int, file fileid.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.socket, c.file.ID()
}

// resume ends a pause.
func (c *control) resume() {
	c.mu.Lock()
	c.paused = false
	c.mu.Unlock()
	c.changed.Broadcast()
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
	c.file.Remove() // nobody else changes it now
	c.pause()
	c.changed.Broadcast()
	_ = unix.Close(c.socket) // a listener has nothing to flush
}
