package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
)

// Each of two addresses serves one connection after another, by every worker.
func TestSecondPortServesOn(t *testing.T) {
	t.Parallel()
	cmd, mark := command()
	s, listeners := serveAll(t, cmd, mark, "--listen", "127.0.0.1:0", "--app", "lines", "--workers", "2")
	before := s.now()
	for _, l := range listeners {
		at := make(map[int]int)
		for range 20 {
			c := dial(t, l.Address)
			at[c.ask(t, "hello")]++
			c.leave(t)
		}
		if len(at) != 2 {
			t.Errorf("%s: answers by worker %v, want both", l.Address, at)
		}
	}
	s.unchanged(before)
	s.stop()
}

// A port that another holds is no success: no start line, and the error names it.
func TestBusyPortIsNoSuccess(t *testing.T) {
	t.Parallel()
	address := busyAddress(t)
	got := usher(t, "serve", "--control", filepath.Join(shortDir(t), "c"), "--listen", "127.0.0.1:0", "--listen", "busy="+address)
	checkComplaint(t, got, exitFailed, address, "address already in use")
}

// 127.0.0.1 is that address and no other of this machine's.
func TestLoopbackIsNotEverywhere(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "1")
	const loopback = "0100007F:" // on a little-endian machine
	listening := tcpSockets(t, s.address, tcpListen)
	if len(listening) != 1 || !strings.HasPrefix(listening[0].local, loopback) && !strings.HasPrefix(listening[0].local, "7F000001:") {
		t.Errorf("listening on %v, want %s only", listening, s.address)
	}
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, net.JoinHostPort("127.0.0.2", port))
	c := dialFrom(t, "127.0.0.2", s.address) // it is there
	c.ask(t, "hello")
	c.leave(t)
	s.stop()
}

// The server closes first, so that its own ports are left in TIME_WAIT: a
// restart at once gets the same port.
func TestRestartDespiteTimeWait(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "2")
	address := s.address
	for range 10 {
		c := dial(t, address)
		c.ask(t, quit)
		if err := c.atEnd(); err != nil {
			t.Error(err)
		}
		_ = c.conn.Close() // the server's end came first
	}
	s.stop()
	if len(tcpSockets(t, address, tcpTimeWait)) == 0 {
		t.Fatalf("nothing is in TIME_WAIT at %s: this story shows nothing", address)
	}

	cmd, mark := command()
	s, listeners := serveAll(t, cmd, mark, "--listen", address, "--app", "lines", "--workers", "2")
	if listeners[1].Address != address {
		t.Errorf("listening on %v, want %s among them", listeners, address)
	}
	c := dial(t, address)
	c.ask(t, "hello")
	c.leave(t)
	s.stop()
}

// Several listeners at once, some with names: status lists them, and a worker
// knows by which a connection came.
func TestListenersHaveNames(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	cmd, mark := command()
	s, listeners := serveAll(t, cmd, mark, "--listen", "a=127.0.0.1:0", "--listen", "b=tcp4://127.0.0.1:0",
		"--listen", "file=unix://"+path, "--workers", "1", "--", self(), "worker-introducing")
	names := []string{"", "a", "b", "file"}
	if len(listeners) != len(names) {
		t.Fatalf("listeners %v, want %d", listeners, len(names))
	}
	for i, name := range names {
		l := listeners[i]
		if l.Name != name {
			t.Errorf("listener %+v, want the name %q", l, name)
		}
		if name == "file" {
			if l.Address != "unix://"+path {
				t.Errorf("listener %+v, want the path %s", l, path)
			}
			continue
		}
		checkIntroduction(t, l, l.Address)
	}
	if got, want := converse(t, "unix://"+path, "hello\n"), "\"file\" invalid AddrPort invalid AddrPort\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.stop()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket's file is left: %v", err)
	}
}

// checkIntroduction connects to an address and checks what worker-introducing
// says of the connection.
func checkIntroduction(t *testing.T, l master.ListenerStatus, address string) {
	t.Helper()
	c := dial(t, address)
	if err := c.send("hello\n"); err != nil {
		t.Fatal(err)
	}
	got, err := c.in.ReadString('\n')
	if want := fmt.Sprintf("%q %v %v\n", l.Name, c.conn.RemoteAddr(), c.conn.LocalAddr()); got != want || err != nil {
		t.Errorf("by %s: got %q, %v; want %q", address, got, err, want)
	}
	c.leave(t)
}

// The file of a Unix socket has the mode that is asked for, whatever the umask;
// one that a dead server left is replaced, that of a live one is not touched.
func TestUnixSocketFile(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o666, 0o777} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(shortDir(t), "s")
			stale(t, path)
			address := "unix://" + path
			withMode := fmt.Sprintf("%s?mode=%04o", address, mode)
			cmd, mark := command()
			s, _ := serveAll(t, cmd, mark, "--listen", withMode, "--app", "lines", "--workers", "1")
			info, err := os.Lstat(path)
			if err != nil || info.Mode() != mode|fs.ModeSocket {
				t.Errorf("mode %v, %v; want %v", info.Mode(), err, mode|fs.ModeSocket)
			}

			got := usher(t, "serve", "--control", filepath.Join(shortDir(t), "c"), "--listen", address)
			checkComplaint(t, got, exitFailed, path, "held by a live process", fmt.Sprintf("pid %d", s.pid))
			want := fmt.Sprintf("%d - - hello\n", s.now().Workers[0].PID)
			if got := converse(t, address, "hello\n"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			s.stop()
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file is left: %v", err)
			}
		})
	}
}

// stale makes the file of a Unix socket to which nobody listens.
func stale(t *testing.T, path string) {
	t.Helper()
	held, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	held.SetUnlinkOnClose(false)
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
}

// A file that is no socket is never removed to make room for one.
func TestUnixSocketSparesFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := usher(t, "serve", "--control", filepath.Join(shortDir(t), "c"), "--listen", "unix://"+path)
	checkComplaint(t, got, exitFailed, path, "not a socket")
	if content, err := os.ReadFile(path); string(content) != "precious" || err != nil {
		t.Errorf("the file has %q, %v", content, err)
	}
}

// IPv6, and both families at one port: an IPv4 client of a dual-stack listener
// is known by its IPv4 address.
func TestIPv6Clients(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	} else {
		_ = l.Close() // it served to see whether it can be
	}
	cmd, mark := command()
	s, listeners := serveAll(t, cmd, mark, "--listen", "six=tcp6://[::1]:0", "--listen", "both=:0", "--listen", "only=tcp6://:0",
		"--workers", "1", "--", self(), "worker-introducing")
	at := func(host string, l master.ListenerStatus) string {
		_, port, err := net.SplitHostPort(l.Address)
		if err != nil {
			t.Fatal(err)
		}
		return net.JoinHostPort(host, port)
	}
	six, both, only := listeners[1], listeners[2], listeners[3]
	checkIntroduction(t, six, six.Address)
	checkIntroduction(t, both, at("127.0.0.1", both))
	checkIntroduction(t, both, at("::1", both))
	checkIntroduction(t, only, at("::1", only))
	refused(t, at("127.0.0.1", only))
	s.stop()
}

// Sockets that systemd passes are taken by name, and no worker is told of them.
func TestSystemdActivation(t *testing.T) {
	t.Parallel()
	var files []*os.File
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		files, addresses = append(files, file), append(addresses, l.Addr().String())
		_ = l.Close() // the file is another descriptor of it
	}
	cmd, mark := command("activated")
	cmd.ExtraFiles = files
	cmd.Env = append(cmd.Env, "LISTEN_FDS=2", "LISTEN_FDNAMES=web:admin")
	s, listeners := serveAll(t, cmd, mark, "--listen", "systemd://admin", "--listen", "site=systemd://web",
		"--workers", "1", "--", self(), "worker-introducing")
	for _, file := range files {
		_ = file.Close() // the server has it
	}
	want := []master.ListenerStatus{listeners[0], {Name: "admin", Address: addresses[1]}, {Name: "site", Address: addresses[0]}}
	if !slices.Equal(listeners, want) {
		t.Fatalf("listeners %v, want %v", listeners, want)
	}
	for _, l := range listeners {
		checkIntroduction(t, l, l.Address)
	}
	for _, pid := range pids(s.now()) {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || strings.Contains(string(environ), "LISTEN_") {
			t.Errorf("environment of worker %d: %q, %v; want no LISTEN_ variables", pid, environ, err)
		}
		if own := sockets(t, pid); len(own) != 2 {
			t.Errorf("worker %d has the sockets %v, want 3 and 4", pid, own)
		}
	}
	s.stop()
	for _, address := range addresses {
		refused(t, address)
	}
}

// Nothing was passed by systemd: the error says so.
func TestSystemdPassedNothing(t *testing.T) {
	t.Parallel()
	got := usher(t, "serve", "--control", filepath.Join(shortDir(t), "c"), "--listen", "systemd://web")
	checkComplaint(t, got, exitFailed, "systemd://web", "passed no such socket")
}
