package webconform

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/usher-go/usher/worker"
)

// bridges pass on what comes by a listener's connections to a loop's, which are pairs of
// Unix sockets, and back; TLS ends here.
type bridges struct {
	listener net.Listener
	loop     *loop
	count    atomic.Int64 // connections

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// accept accepts until the listener is closed.
func (b *bridges) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.count.Add(1)
		go b.carry(conn)
	}
}

// carry takes ownership of a connection.
func (b *bridges) carry(conn net.Conn) {
	defer conn.Close()
	a := arrival{local: addressOf(conn.LocalAddr()), remote: addressOf(conn.RemoteAddr())}
	if conn, ok := conn.(*tls.Conn); ok {
		if conn.Handshake() != nil {
			return // the client knows
		}
		s := conn.ConnectionState()
		a.tls = &worker.TLSState{
			Version: s.Version, CipherSuite: s.CipherSuite, ALPN: s.NegotiatedProtocol, ServerName: s.ServerName,
			PeerCertificates: s.PeerCertificates, Resumed: s.DidResume,
		}
	}
	peers := make(chan int, 1)
	a.taken = func(fd int) { peers <- fd }
	if !b.loop.give(a) {
		return
	}
	file := os.NewFile(uintptr(<-peers), "")
	peer, err := net.FileConn(file)
	_ = file.Close() // peer has another descriptor of it
	if err != nil {
		panic(err)
	}
	defer peer.Close()
	b.mu.Lock()
	b.conns[conn] = true
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.conns, conn)
		b.mu.Unlock()
	}()
	var both sync.WaitGroup
	both.Go(func() { pass(peer, conn) })
	both.Go(func() { pass(conn, peer) })
	both.Wait()
}

// pass passes on all that comes, and its end.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if finisher, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		err = finisher.CloseWrite()
	}
	if err != nil {
		_ = to.Close() // one of them is broken: both end
		_ = from.Close()
	}
}

// cut cuts all connections.
func (b *bridges) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for conn := range b.conns {
		_ = conn.Close() // whoever waits for it finds out
	}
}
