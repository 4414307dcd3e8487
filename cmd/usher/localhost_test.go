package main

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// needsBoth skips where there is no ::1.
func needsBoth(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip(err) // a machine without IPv6
	}
	_ = l.Close() // nobody connected
}

// reservePort returns a port that is free at 127.0.0.1 and ::1, and stays so until the
// test ends: sockets are bound to it that do not listen. Who is content with any port
// does not get it then, and who names it does, with SO_REUSEADDR (socket(7)), as servers
// have it.
func reservePort(t *testing.T) int {
	t.Helper()
	for range 1000 { // which of the ports that are free at 127.0.0.1 others have at ::1 is chance
		held, bound, err := reserve(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(held) }) // it was only bound
		port := bound.(*unix.SockaddrInet4).Port
		also, _, err := reserve(&unix.SockaddrInet6{Addr: [16]byte{15: 1}, Port: port})
		if err == nil {
			t.Cleanup(func() { _ = unix.Close(also) }) // likewise
			return port
		}
		if err != unix.EADDRINUSE {
			t.Fatal(err)
		}
	}
	t.Fatal("no port is free at 127.0.0.1 and ::1")
	return 0
}

// reserve binds a socket, which the caller owns. It returns what to.
func reserve(address unix.Sockaddr) (fd int, bound unix.Sockaddr, err error) {
	family := unix.AF_INET
	if _, ok := address.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	if fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, nil, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil {
		err = unix.Bind(fd, address)
	}
	if err == nil {
		bound, err = unix.Getsockname(fd)
	}
	if err != nil {
		_ = unix.Close(fd) // the first error is the one to report
		return -1, nil, err
	}
	return fd, bound, nil
}

// localhost is served at both families, at one port, with as many acceptors as there
// are, through reloads and upgrades; twice where it is written twice.
func TestLocalhost(t *testing.T) {
	t.Parallel()
	needsBoth(t)
	p := install(t)
	cmd, mark := p.command()
	control := filepath.Join(shortDir(t), "c")
	cmd.Args = append(cmd.Args, "serve", "--listen", "one=localhost:0", "--listen", "localhost:0", "--control", control,
		"--workers", "1", "--acceptors", "2", "--app", "lines")
	s := launchAs(t, cmd, mark, control)
	s.awaitStart()
	before, err := s.status()
	if err != nil {
		t.Fatal(err)
	}
	var hosts, names []string
	ports := make(map[string]int)
	for _, l := range before.Listeners {
		host, port, err := net.SplitHostPort(l.Address)
		if err != nil {
			t.Fatal(err)
		}
		hosts, names = append(hosts, host), append(names, l.Name)
		ports[port]++
	}
	if want := []string{"127.0.0.1", "::1", "127.0.0.1", "::1"}; !slices.Equal(hosts, want) || len(ports) != 2 {
		t.Errorf("%+v, want %v at two ports", before.Listeners, want)
	}
	if want := []string{"one", "one", "", ""}; !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
	for n, act := range []string{"", "reload", "upgrade", "reload"} {
		if act != "" {
			if got := s.ask(act); got.code != 0 {
				t.Fatalf("%s: %+v", act, got)
			}
		}
		status := s.until("one worker", ready(1))
		if !slices.Equal(status.Listeners, before.Listeners) {
			t.Errorf("after %s %d: %+v, was %+v", act, n, status.Listeners, before.Listeners)
		}
		for _, l := range status.Listeners {
			c := dial(t, l.Address)
			c.ask(t, "hello")
			c.leave(t)
		}
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// A port of localhost that another program has at ::1 is refused, and nothing left
// bound at the other family.
func TestLocalhostInUse(t *testing.T) {
	t.Parallel()
	needsBoth(t)
	port := reservePort(t)
	l, err := net.Listen("tcp6", fmt.Sprintf("[::1]:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // it may be closed already
	got := usher(t, "serve", "--control", filepath.Join(shortDir(t), "c"), "--listen", fmt.Sprintf("localhost:%d", port))
	checkComplaint(t, got, exitFailed, fmt.Sprintf("listen on localhost:%d: [::1]:%d:", port, port), "address already in use")
	_ = l.Close() // nobody connected
	s := serve(t, "--workers", "1", "--listen", fmt.Sprintf("localhost:%d", port))
	status := s.until("one worker", ready(1))
	if !slices.ContainsFunc(status.Listeners, func(l master.ListenerStatus) bool { return strings.HasPrefix(l.Address, "[::1]:") }) {
		t.Errorf("%+v, want [::1], too", status.Listeners)
	}
	s.stop()
}
