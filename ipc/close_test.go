package ipc

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// lingering returns a TCP connection whose close(2) would take an hour: it has
// SO_LINGER, and its client does not read. The client is closed at the end of the
// test, which ends the wait, if there is one.
func lingering(t *testing.T) (fd int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(borrowed uintptr) {
		fd, failed = unix.FcntlInt(borrowed, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err := errors.Join(err, failed, unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 3600})); err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 1<<16); ; {
		if _, err := unix.SendmsgN(fd, chunk, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err != nil {
			return fd
		}
	}
}

// A connection that lingers does not hold up whoever closes the last descriptor
// of it, as a master may right after it has sent it.
func TestCloseDoesNotLinger(t *testing.T) {
	leaktest.Descriptors(t)
	for name, end := range map[string]func(p *Packet){
		"a packet":       (*Packet).Close,
		"one connection": func(p *Packet) { p.Drop(0) },
	} {
		t.Run(name, func(t *testing.T) {
			closed := make(chan struct{})
			t.Cleanup(func() { <-closed }) // the client is gone by then
			var p Packet
			p.Add(&Envelope{ID: 1}, lingering(t))
			go func() {
				defer close(closed)
				end(&p)
			}()
			select {
			case <-closed:
			case <-time.After(20 * time.Second):
				t.Error("close(2) waits for the client")
			}
		})
	}
}
