package webconform

import (
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// listener accepts for a worker, which serves sockets alone. If it is one of package net,
// the worker gets those. To the connections of any other, which may be no sockets, and of
// which a test may keep hold, it adds a pair of sockets each, and passes on what comes.
type listener struct {
	net.Listener // accepts
	closer       io.Closer
	ended        chan error // why nothing is accepted any more
	sockets      int        // accepted; read once ended
	pipes        sync.WaitGroup
}

func newListener(l net.Listener, closer io.Closer) *listener {
	return &listener{Listener: l, closer: closer, ended: make(chan error, 1)}
}

// Close closes what net/http has given.
func (l *listener) Close() error { return l.closer.Close() }

// Accept returns net.ErrClosed when nothing is accepted any more, whatever the reason.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		l.ended <- err
		return nil, net.ErrClosed
	}
	switch l.Listener.(type) {
	case *net.TCPListener, *net.UnixListener:
		l.sockets++
		return conn, nil
	}
	return l.pipe(conn), nil
}

// socket is one end of a pair, with the addresses of what is passed on.
type socket struct {
	*net.UnixConn
	outer net.Conn
}

func (s socket) LocalAddr() net.Addr  { return s.outer.LocalAddr() }
func (s socket) RemoteAddr() net.Addr { return s.outer.RemoteAddr() }

// pipe takes ownership of a connection, and returns the socket that stands for it. It is
// closed when the other end of the socket is.
func (l *listener) pipe(conn net.Conn) net.Conn {
	ours, theirs := pair()
	var out sync.WaitGroup
	out.Go(func() {
		_, _ = io.Copy(conn, ours) // whoever does not take it finds out by the end
		_ = conn.Close()
		_ = ours.Close()
	})
	l.pipes.Go(func() {
		defer out.Wait()
		if _, err := io.Copy(ours, conn); err != nil {
			_ = conn.Close() // it is broken: both end
			_ = ours.Close()
			return
		}
		_ = ours.CloseWrite() // the worker may have closed it
	})
	return socket{theirs, conn}
}

// pair returns two sockets that are connected. Without descriptors for them it panics.
func pair() (a, b *net.UnixConn) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		panic(os.NewSyscallError("socketpair", err))
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "")
		conn, err := net.FileConn(file)
		_ = file.Close() // conn has another descriptor of it
		if err != nil {
			panic(err)
		}
		ends[i] = conn.(*net.UnixConn)
	}
	return ends[0], ends[1]
}
