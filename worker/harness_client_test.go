package worker_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// client is the other end of a worker's connection. It is closed with the test.
type client struct {
	net.Conn
	t testing.TB
}

func newClient(t testing.TB, conn net.Conn) *client {
	check(t, conn.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { _ = conn.Close() }) // a second time, in most tests
	return &client{Conn: ungarbled(conn), t: t}
}

func (c *client) send(s string) {
	c.t.Helper()
	_, err := io.WriteString(c, s)
	check(c.t, err)
}

func (c *client) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	if err != nil || string(got) != want {
		c.t.Fatalf("got %.80q, %v; want %.80q", got[:n], err, want)
	}
}

// expectEnd wants the peer's end of file, and nothing before it.
func (c *client) expectEnd() {
	c.t.Helper()
	rest, err := io.ReadAll(c)
	if err != nil || len(rest) > 0 {
		c.t.Fatalf("got %.80q, %v; want the end", rest, err)
	}
}

func (c *client) expectReset() {
	c.t.Helper()
	if _, err := io.ReadAll(c); !errors.Is(err, unix.ECONNRESET) {
		c.t.Fatalf("got %v, want a reset", err)
	}
}

func (c *client) closeWrite() {
	c.t.Helper()
	check(c.t, c.Conn.(interface{ CloseWrite() error }).CloseWrite())
}

// reset closes with RST.
func (c *client) reset() {
	c.t.Helper()
	check(c.t, c.Conn.(interface{ SetLinger(seconds int) error }).SetLinger(0))
	check(c.t, c.Close())
}

// connectUnix is connect by a Unix socket.
func (s *rig) connectUnix() *client {
	s.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	check(s.t, err)
	file := os.NewFile(uintptr(pair[0]), "client")
	conn, err := net.FileConn(file)
	check(s.t, err)
	check(s.t, file.Close())
	s.packet.Reset()
	s.lastID++
	s.packet.Add(&ipc.Envelope{ID: s.lastID, Transport: s.transport}, pair[1])
	check(s.t, s.packets.Send(s.queue, &s.packet))
	return newClient(s.t, conn)
}
