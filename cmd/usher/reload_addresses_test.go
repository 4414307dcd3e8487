package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// listeningInodes returns those of the sockets that listen on a TCP port, by the
// kernel's tables.
func listeningInodes(t *testing.T, address string) (inodes string) {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscan(port, &n); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line) // sl, local, remote, state (0A: it listens), …, the tenth is the inode
			if len(fields) > 9 && fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", n)) {
				inodes += fields[9] + " "
			}
		}
	}
	return inodes
}

// An address that means the socket that is there keeps it, however it is spelled.
func TestReloadOfAnotherSpelling(t *testing.T) {
	t.Parallel()
	for name, addresses := range map[string][]string{
		"loopback":       {"127.0.0.1:%s", "tcp://127.0.0.1:%s", "tcp4://127.0.0.1:%s", "web=127.0.0.1:%s", "tcp4://localhost:%s", "[::ffff:127.0.0.1]:%s", "127.0.0.1:%s"},
		"every address":  {":%s", "tcp://:%s"},
		"every IPv4 one": {"tcp4://:%s", "0.0.0.0:%s"},
		"IPv6 loopback":  {"[::1]:%s", "[0:0::1]:%s", "tcp6://[::1]:%s"},
		"every IPv6 one": {"tcp6://:%s", "[::]:%s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			write := func(address, port string) []string {
				return []string{`app = "lines"`, `workers = 1`, fmt.Sprintf("listen = [%q]", fmt.Sprintf(address, port))}
			}
			s := serveConfigured(t, write(addresses[0], "0")...)
			_, port, err := net.SplitHostPort(s.address)
			if err != nil {
				t.Fatal(err)
			}
			before := listeningInodes(t, s.address)
			at := s.address
			if name == "every IPv4 one" || name == "every address" {
				at = "127.0.0.1:" + port
			} else if name == "every IPv6 one" {
				at = "[::1]:" + port
			}
			c := dial(t, at)
			for _, port := range []string{"0", port} { // from 0 to 0, then to what it is
				for _, address := range addresses {
					s.write(write(address, port)...)
					s.reload()
					if after := listeningInodes(t, s.address); after != before || before == "" {
						t.Errorf("%s: sockets %s listen there, before it was %s", fmt.Sprintf(address, port), after, before)
					}
					c.ask(t, "still here")
				}
			}
			c.leave(t)
			s.stop()
		})
	}
}

// umaskOf this process, which servers have too: to ask umask(2) would change it.
func umaskOf(t *testing.T) (mask fs.FileMode) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\nUmask:")
	if _, err := fmt.Sscanf(strings.TrimSpace(rest), "%o", &mask); err != nil {
		t.Fatal(err)
	}
	return mask
}

// unixDial connects to an echo at a path.
func unixDial(t *testing.T, path string) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // if the story did not
	ping(t, conn)
	return conn
}

func ping(t *testing.T, conn net.Conn) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(limit)) // a socket has deadlines
	got := make([]byte, 4)
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "ping" {
		t.Fatalf("the echo answers %q, %v", got, err)
	}
}

// An address that overlaps with one that is served cannot be had beside it: the
// server's own listener is named, and how to get there, which works.
func TestReloadOfAnOverlappingAddress(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `app = "lines"`, `workers = 1`)
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s.address)
	listen := func(addresses ...string) {
		t.Helper()
		for i, address := range addresses {
			addresses[i] = fmt.Sprintf("%q", strings.ReplaceAll(address, "PORT", port))
		}
		s.write(`app = "lines"`, `workers = 1`, "listen = ["+strings.Join(addresses, ", ")+"]")
	}
	for _, wider := range []string{"0.0.0.0:PORT", ":PORT"} {
		listen(wider)
		s.refusesReload("overlaps with "+s.address+", where this server listens itself", "reload twice")
		if got := s.ask("reload"); strings.Contains(got.stderr, "stop the program") {
			t.Errorf("%+v, want no word of another program", got)
		}
		c.ask(t, "still here")
	}
	listen("127.0.0.1:PORT", "localhost:PORT")
	s.refusesReload("overlaps with")
	listen("127.0.0.1:0", "127.0.0.2:PORT")
	s.reload() // that one it does not overlap with
	listen("127.0.0.3:0")
	s.reload()
	listen(":PORT")
	s.reload()
	if err := shortVisit("127.0.0.1:" + port); err != nil {
		t.Error(err)
	}
	listen("127.0.0.1:PORT")
	s.refusesReload("overlaps with [::]:"+port, "reload twice")
	c.ask(t, "still here")
	c.leave(t)
	s.stop()
}

// Two that overlap cannot be had at the start either.
func TestStartOnOverlappingAddresses(t *testing.T) {
	t.Parallel()
	held, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := held.Addr().String()
	_, port, _ := net.SplitHostPort(address) // the kernel's own
	_ = held.Close()                         // another may take the port before the server does, and the story says so
	got := usher(t, "serve", "--control", filepath.Join(shortDir(t), "c"), "--listen", address, "--listen", "0.0.0.0:"+port)
	checkComplaint(t, got, exitFailed, "listen on 0.0.0.0:"+port, "overlaps with "+address, "leave one of the two out")
}

// Only the mode of a Unix socket changes: its file gets it, and nobody who connects
// is refused. Without a mode it is as the umask has it.
func TestReloadOfASocketsMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	write := func(query string) []string {
		return []string{`workers = 1`, fmt.Sprintf(`listen = ["unix://%s%s"]`, path, query)}
	}
	s := serveConfigured(t, write("?mode=0660")...)
	inode := func() (id uint64, mode fs.FileMode) {
		t.Helper()
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			t.Fatal(err)
		}
		return stat.Ino, fs.FileMode(stat.Mode & 0o777)
	}
	before, _ := inode()
	umask := umaskOf(t)
	for query, want := range map[string]fs.FileMode{"?mode=0666": 0o666, "?mode=0600": 0o600, "": 0o777 &^ umask} {
		s.write(write(query)...)
		s.reload()
		if after, mode := inode(); mode != want || after != before {
			t.Errorf("%q: inode %d of mode %04o, want %d of %04o", query, after, mode, before, want)
		}
		_ = unixDial(t, path).Close() // it was answered
	}
	spelled := filepath.Dir(path) + "/./" + filepath.Base(path)
	s.write(`workers = 1`, fmt.Sprintf(`listen = ["unix://%s"]`, spelled))
	s.reload()
	if after, _ := inode(); after != before {
		t.Errorf("inode %d, want %d: the path is another spelling", after, before)
	}
	s.write(`workers = 1`, fmt.Sprintf(`listen = ["unix://%s", "unix://%s"]`, spelled, spelled))
	s.refusesReload("this server has a socket there itself")
	s.write(write("")...)
	s.stop()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// A cleaner of temporary files takes the sockets' files away. HUP brings them back;
// who was connected stays so, and nothing is left in the end.
func TestReloadBringsSocketsBack(t *testing.T) {
	t.Parallel()
	p := install(t)
	path := filepath.Join(shortDir(t), "s")
	s := launchWithFile(t, p, "unix://"+path+"?mode=0640")
	for _, upgraded := range []bool{false, true} {
		c := unixDial(t, path)
		if err := errors.Join(os.Remove(path), os.Remove(s.control)); err != nil {
			t.Fatal(err)
		}
		if upgraded {
			seen := len(s.log.with("upgraded:"))
			s.signal(unix.SIGUSR2)
			s.log.await(t, seen+1, "upgraded:")
		}
		before := len(s.log.with("reloaded:"))
		s.signal(unix.SIGHUP)
		s.log.await(t, before+1, "reloaded:")
		s.until("one worker", ready(1))
		for file, want := range map[string]fs.FileMode{path: 0o640, s.control: 0o600} {
			if info, err := os.Lstat(file); err != nil || info.Mode() != fs.ModeSocket|want {
				t.Errorf("%v, %v; want a socket of mode %04o", info, err, want)
			}
		}
		_ = unixDial(t, path).Close() // it was answered
		ping(t, c)
		_ = c.Close() // it was answered
	}
	status := s.until("one worker", func(status master.Status) bool {
		return ready(1)(status) && status.Connections.Active == 0
	})
	if len(status.Listeners) != 1 || status.Connections.Lost+status.Connections.Refused != 0 {
		t.Errorf("%+v", status)
	}
	s.stop()
	for _, file := range []string{path, s.control} {
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", file, err)
		}
	}
}

func launchWithFile(t *testing.T, p *program, listen string) *server {
	t.Helper()
	control := filepath.Join(shortDir(t), "c")
	cmd, mark := p.command()
	cmd.Args = append(cmd.Args, "serve", "--listen", listen, "--control", control, "--workers", "1")
	s := launchAs(t, cmd, mark, control)
	s.awaitStart()
	return s
}

// Another's file in the place of one's own is left alone: the reload says so.
func TestReloadDoesNotTakeAnothersFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	s := serveConfigured(t, `workers = 1`, fmt.Sprintf(`listen = ["unix://%s"]`, path))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s.refusesReload(s.path+":2: ", fmt.Sprintf("held by a live process (pid %d)", os.Getpid()))
	s.signal(unix.SIGTERM)
	s.ends(0)
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's socket is gone: %v", err)
	}
	_ = other.Close() // it has served
}
