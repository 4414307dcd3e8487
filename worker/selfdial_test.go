package worker

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Any goroutine may ask for the address of a connection while that gets another
// socket. The race detector is what fails here.
func TestDialAgainWhileAskedForAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := Destination{Remote: netip.MustParseAddrPort(listener.Addr().String())}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	l := stoppedLoop(t, 0)
	fd, err := to.socket()
	if err != nil {
		t.Fatal(err)
	}
	c := &Conn{loop: l, origin: &origin{place: new(place)}, id: firstDialled + 1, fd: int32(fd), state: newState(phaseDialling, traitDialled)}
	c.addUnfinished().dialling = &dialling{to: to}
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_ = c.LocalAddr() // whichever it is
	}()
	c.dialAgain()
	<-asked
	if err := unix.Close(int(c.fd)); err != nil {
		t.Error(err)
	}
}
