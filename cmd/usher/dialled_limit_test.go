package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
)

// proxyDescriptors is how many descriptors the proxying worker may have. Of what is
// left of them each client takes two: its own, and that of the connection that is
// dialled for it.
const proxyDescriptors = 160

func init() {
	helpers["worker-proxy"] = func() {
		few := &syscall.Rlimit{Cur: proxyDescriptors, Max: proxyDescriptors}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, few); err != nil {
			panic(err)
		}
		worker.Main(proxyTo(worker.Destination{Remote: netip.MustParseAddrPort(os.Args[2])}))
	}
}

// proxied is one side of a pair.
type proxied struct{ other *worker.Conn }

func proxyTo(server worker.Destination) worker.Handler {
	return worker.OpenFunc(func(client *worker.Conn) (worker.Session, error) {
		client.Pause() // until there is somebody to talk to
		session := &proxied{}
		session.other = client.Dialer().Dial(server, worker.OpenFunc(func(*worker.Conn) (worker.Session, error) {
			client.Resume()
			return &proxied{client}, nil
		}), func(err error) {
			fmt.Fprintln(os.Stderr, "proxy:", err)
			_ = client.Close() // it may be closing already
		})
		return session, nil
	})
}

func (p *proxied) Data(_ *worker.Conn, in []byte) (int, error) { return p.other.Write(in) }
func (p *proxied) Close(*worker.Conn, error)                   { _ = p.other.Close() } // likewise

// echoServer serves an echo until the test ends.
func echoServer(t *testing.T) (address string) {
	t.Helper()
	return serveConns(t, func(c *net.TCPConn) { _, _ = io.Copy(c, c) }) // until its client leaves
}

// serveConns is a server of the test's own: each connection has a goroutine, and is
// closed when that has served it.
func serveConns(t *testing.T, serve func(c *net.TCPConn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close() // once
		all.Wait()
	})
	return listener.Addr().String()
}

// A proxy's clients take two descriptors each. Those for whom there are none wait in
// the kernel until others leave: none is reset, none is turned away.
func TestClientsOfAProxyWaitForDescriptors(t *testing.T) {
	const clients = 3 * proxyDescriptors
	s := serve(t, "--workers", "1", "--", self(), "worker-proxy", echoServer(t))
	var waiting []*client
	for range clients {
		c := dial(t, s.address)
		if err := c.send("hello\n"); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
	}
	for i, c := range waiting {
		// That it is answered is the word that there was room; it leaves for the next.
		if err := c.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		if line, err := c.in.ReadString('\n'); line != "hello\n" || err != nil {
			t.Fatalf("client %d of %d: %q, %v", i, clients, line, err)
		}
		if i == 0 {
			s.until("most wait in the backlog", func(status master.Status) bool {
				return status.Connections.Active > 0 && status.Connections.Accepted < clients/2
			})
		}
		c.leave(t)
	}
	status := s.until("all have left", func(status master.Status) bool { return status.Connections.Active == 0 })
	if c := status.Connections; c.Lost+c.Refused != 0 || c.Accepted != clients {
		t.Errorf("%+v, want %d accepted and none lost or refused", c, clients)
	}
	if lines := s.log.with("proxy:"); len(lines) > 0 {
		t.Errorf("dials failed: %q", lines)
	}
	s.stop()
}
