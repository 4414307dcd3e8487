package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func init() {
	helpers["dials-itself"] = dialsItself
	helpers["out-of-ports"] = outOfPorts
}

// A backend on one of the ports that the kernel dials from is down. Those who
// redial it until it comes back must not be connected to themselves, which TCP
// allows, and read what they have sent: a secret, to whoever asks for it.
func TestDialOfDeadBackendIsRefused(t *testing.T) {
	got := inNamespace(t, "dials-itself", "40000 40001") // of which it prefers the even one
	if want := "127.0.0.1: refused\n::1: refused\nback: served\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func dialsItself() {
	settleNamespace()
	for _, address := range []string{"127.0.0.1", "::1"} {
		to := worker.Destination{Remote: netip.AddrPortFrom(netip.MustParseAddr(address), 40000), Timeout: patience}
		fmt.Printf("%s: %s\n", address, dialOnce(to))
	}
	// Nothing of the attempts keeps the backend from its port.
	listener, err := net.Listen("tcp", "127.0.0.1:40000")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	to := destination(listener)
	to.Local = netip.MustParseAddr("127.0.0.2") // its one port is free
	fmt.Println("back:", dialOnce(to))
}

// dialOnce says what came of it. Nobody answers but oneself.
func dialOnce(to worker.Destination) (result string) {
	err := worker.RunClient(context.Background(), func(d *worker.Dialer) error {
		d.Dial(to, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
			result = "served"
			if c.LocalAddr() == c.RemoteAddr() {
				_, _ = c.Write([]byte("SECRET")) // its own session reads it
			} else {
				_ = c.Abort() // it is open
			}
			return worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
				result = fmt.Sprintf("read %q", in)
				return len(in), c.Abort()
			}), nil
		}), func(err error) {
			result = err.Error()
			if errors.Is(err, unix.ECONNREFUSED) {
				result = "refused"
			}
		})
		return nil
	}, quiet)
	if err != nil {
		return err.Error()
	}
	return result
}

// Whoever dials more than there are ports is told what to do, and the others are
// served; afterwards the ports are there again.
func TestDialOutOfPorts(t *testing.T) {
	got := inNamespace(t, "out-of-ports", "40000 40009")
	if want := "10 served, 5 out of ports\n10 served, 5 out of ports\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func outOfPorts() {
	settleNamespace()
	listener, err := net.Listen("tcp", "127.0.0.1:9")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	for _, local := range []netip.Addr{{}, netip.MustParseAddr("127.0.0.2")} {
		to := destination(listener)
		to.Local, to.Timeout = local, patience
		fmt.Println(dialTooMany(to))
	}
}

// dialTooMany dials five more than there are ports, and holds all until each of
// them is heard of.
func dialTooMany(to worker.Destination) string {
	const conns = 15
	var open []*worker.Conn
	var failures []error
	heard := func() {
		if len(open)+len(failures) == conns {
			for _, c := range open {
				_ = c.Abort() // it is open
			}
		}
	}
	err := worker.RunClient(context.Background(), func(d *worker.Dialer) error {
		for range conns {
			d.Dial(to, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
				open = append(open, c)
				heard()
				return worker.DataFunc(echo), nil
			}), func(err error) {
				failures = append(failures, err)
				heard()
			})
		}
		return nil
	}, quiet)
	for _, failure := range failures {
		if !errors.Is(failure, unix.EADDRNOTAVAIL) || !strings.Contains(failure.Error(), "ip_local_port_range") {
			return failure.Error()
		}
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d served, %d out of ports", len(open), len(failures))
}
