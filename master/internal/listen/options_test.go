package listen

import (
	"net"
	"testing"

	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// Accepted connections have the options that their listener is given.
func TestAcceptedHaveTheOptionsOfTheListener(t *testing.T) {
	leaktest.Descriptors(t)
	resolved, err := Resolve(parseAll(t, "127.0.0.1:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	bound, err := Open(Settings{Addresses: resolved, Sockets: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseAll(bound)
	client, err := net.Dial("tcp", bound[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	fd, _, err := unix.Accept4(bound[0].FD, unix.SOCK_CLOEXEC) // it has come: connect(2) has returned
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for name, option := range map[string][2]int{
		"TCP_NODELAY":  {unix.IPPROTO_TCP, unix.TCP_NODELAY},
		"SO_KEEPALIVE": {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	} {
		if on, err := unix.GetsockoptInt(fd, option[0], option[1]); err != nil || on == 0 {
			t.Errorf("%s is %d, %v", name, on, err)
		}
	}
}
