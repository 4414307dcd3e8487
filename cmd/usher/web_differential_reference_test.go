package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// webReference is net/http's server, in this process, and without sockets: each way of a
// connection is a pipe, so that no time decides what comes of what is left unread.
type webReference struct {
	conns  chan net.Conn
	done   chan struct{}
	served sync.WaitGroup // connections
}

// newWebReference starts one, which the end of the test ends.
func newWebReference(t *testing.T) *webReference {
	w := &webReference{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: http.HandlerFunc(webSteps), ErrorLog: log.New(io.Discard, "", 0)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(w) }) // until Accept says so
	t.Cleanup(func() {
		close(w.done)
		serving.Wait()
		w.served.Wait() // each stays for half a second behind its end
	})
	return w
}

// dial returns the client's side of a connection.
func (w *webReference) dial() *webPipes {
	var up, down [2]net.Conn
	up[0], up[1] = net.Pipe()
	down[0], down[1] = net.Pipe()
	w.served.Add(1)
	w.conns <- &webPipes{in: up[1], out: down[0], closed: sync.OnceFunc(w.served.Done)}
	return &webPipes{in: down[1], out: up[0], closed: func() {}}
}

func (w *webReference) Accept() (net.Conn, error) {
	select {
	case conn := <-w.conns:
		return conn, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

func (*webReference) Close() error   { return nil }
func (*webReference) Addr() net.Addr { return (*webPipes)(nil).LocalAddr() }

// webPipes is a connection of two pipes, of which each may end by itself.
type webPipes struct {
	in, out net.Conn
	closed  func()
}

func (p *webPipes) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p *webPipes) Write(b []byte) (int, error) { return p.out.Write(b) }

// ReadFrom has net/http take the way on which a file goes to a socket.
func (p *webPipes) ReadFrom(r io.Reader) (int64, error) { return io.Copy(p.out, r) }

func (p *webPipes) CloseWrite() error { return p.out.Close() }

func (p *webPipes) Close() error {
	defer p.closed()
	_ = p.in.Close() // a pipe's never fails
	return p.out.Close()
}

func (*webPipes) LocalAddr() net.Addr                  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (*webPipes) RemoteAddr() net.Addr                 { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (p *webPipes) SetReadDeadline(t time.Time) error  { return p.in.SetReadDeadline(t) }
func (p *webPipes) SetWriteDeadline(t time.Time) error { return p.out.SetWriteDeadline(t) }

func (p *webPipes) SetDeadline(t time.Time) error {
	_ = p.in.SetReadDeadline(t) // as of the other
	return p.out.SetWriteDeadline(t)
}
