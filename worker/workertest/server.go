package workertest

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/forworkertest"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// Server is a worker that runs by itself in the test's process, with the real clock, and
// serves what a listener of package net accepts: for tests with real clients. Its
// connections do not move, for there is no other worker.
type Server struct {
	t        testing.TB
	listener net.Listener
	worker   forworkertest.Worker
	accepted chan struct{} // closed when nothing is accepted any more
	closing  sync.Once
}

// Serve starts a Server, which ends with the test. It owns l, a *net.TCPListener, a
// *net.UnixListener, or what returns connections of these; the name of the listener is
// empty. Unless an option says otherwise it does not log. Any Handler will do, Streams
// too.
func Serve(t testing.TB, l net.Listener, h worker.Handler, opts ...worker.Option) *Server {
	t.Helper()
	return serve(t, l, h, nil, opts)
}

func serve(t testing.TB, l net.Listener, h worker.Handler, tls *forworkertest.TLS, opts []worker.Option) *Server {
	t.Helper()
	opts = append([]worker.Option{worker.WithLogger(hclog.NewNullLogger())}, opts...)
	w, err := forworkertest.Serve(h, opts, tls)
	if err != nil {
		_ = l.Close() // the error of Serve is the one to report
		t.Fatal(err)
	}
	s := &Server{t: t, listener: l, worker: w, accepted: make(chan struct{})}
	go s.accept()
	t.Cleanup(s.Close)
	return s
}

// Drain has nothing further accepted and asks all sessions to finish, as before a worker's
// end, which it waits for. It takes deadline, rounded up to a millisecond, and a second
// more at most; 0: as long as the sessions take.
func (s *Server) Drain(deadline time.Duration) {
	s.t.Helper()
	s.stopAccepting()
	if err := s.worker.Drain(deadline); err != nil {
		s.t.Errorf("drain: %v", err)
		return
	}
	if err := s.worker.Wait(); err != nil {
		s.t.Errorf("the worker: %v", err)
	}
}

// Close closes the listener and all connections, and waits until the worker has ended. A
// further call does nothing.
func (s *Server) Close() {
	s.t.Helper()
	s.closing.Do(func() {
		s.stopAccepting()
		if err := s.worker.Close(); err != nil {
			s.t.Errorf("the worker: %v", err)
		}
	})
}

func (s *Server) stopAccepting() {
	_ = s.listener.Close() // the test, or Drain, may have closed it
	<-s.accepted
}

// accept gives the worker what the listener accepts, until that is closed.
func (s *Server) accept() {
	defer close(s.accepted)
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			err = s.adopt(conn)
		}
		if err != nil {
			s.t.Errorf("accept: %v", err)
			_ = s.listener.Close() // this error is the one to report
			return
		}
	}
}

// adopt gives the worker a connection's socket. It takes ownership of conn: the worker gets
// a descriptor of its own, and conn is closed, which takes it out of the runtime's poller.
func (s *Server) adopt(conn net.Conn) error {
	defer func() { _ = conn.Close() }() // the socket lives on
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return errors.New("workertest: the listener's connections have no descriptor")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	controlled := raw.Control(func(shared uintptr) {
		fd, err = unix.FcntlInt(shared, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(controlled, err); err != nil {
		return err
	}
	return s.worker.Adopt(forworkertest.Connection{Local: address(conn.LocalAddr()), Remote: address(conn.RemoteAddr())}, fd)
}

// address returns the address of TCP; of another network, none.
func address(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}
