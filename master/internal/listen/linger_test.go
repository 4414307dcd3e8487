package listen

import (
	"net"
	"testing"

	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// Accepted connections have the options of their listener, whoever bound it: with
// SO_LINGER the master could wait for each that it closes.
func TestInheritedListenersDoNotLinger(t *testing.T) {
	for name, take := range map[string]func(fd int) (*Listener, error){
		"of systemd": adoptSocket,
		"of the program before": func(fd int) (*Listener, error) {
			return Restore([]State{{FD: fd}})[0], nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			leaktest.Descriptors(t)
			resolved, err := Resolve(parseAll(t, "127.0.0.1:0"), nil)
			if err != nil {
				t.Fatal(err)
			}
			bound, err := Open(Settings{Addresses: resolved, Sockets: 1}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.SetsockoptLinger(bound[0].FD, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 3600}); err != nil {
				t.Fatal(err)
			}
			l, err := take(bound[0].FD)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			client, err := net.Dial("tcp", bound[0].Address)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			fd, _, err := unix.Accept4(l.FD, unix.SOCK_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if linger, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER); err != nil || linger.Onoff != 0 {
				t.Errorf("an accepted connection has SO_LINGER: %+v, %v", linger, err)
			}
		})
	}
}
