package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// The stories in the files ancestors_*_test.go are about bugs of small prefork
// servers before this one, each named after what its users saw. This file is
// what they share.

// The worker programs of these stories, and what starts the command otherwise.
func init() {
	helpers["limited"] = limited
	helpers["activated"] = activated
	helpers["worker-in-error"] = func() {
		worker.Main(worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
			if _, err := c.Write([]byte("sorry\n")); err != nil {
				return 0, err
			}
			return len(in), errors.New("cannot do that")
		}))
	}
	helpers["worker-bulky"] = func() {
		worker.Main(worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
			bulk := make([]byte, bulkSize)
			_, _ = random(1, 'd').Read(bulk) // it never fails
			if _, err := c.Write(bulk); err != nil {
				return nil, err
			}
			fmt.Fprintf(os.Stderr, "%d bytes are not taken yet\n", c.Buffered())
			return worker.DataFunc(echo), c.Close()
		}))
	}
	helpers["worker-blocking"] = func() { worker.Main(blocking{}) }
	helpers["worker-saying"] = func() { worker.Main(saying{}) }
	helpers["worker-introducing"] = func() {
		worker.Main(worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
			_, err := fmt.Fprintf(c, "%q %v %v\n", c.Listener(), c.LocalAddr(), c.RemoteAddr())
			return len(in), err
		}))
	}
}

// bulkSize is what worker-bulky writes at once, to whoever comes.
const bulkSize = 8 << 20

// blocking is lines, but at a line "read PATH" it reads that file first, for
// as long as that takes.
type blocking struct{ lines }

func (b blocking) Open(*worker.Conn) (worker.Session, error) { return b, nil }

func (b blocking) Data(c *worker.Conn, in []byte) (int, error) {
	if path, found := strings.CutPrefix(string(in), "read "); found {
		fmt.Fprintln(os.Stderr, "reading")
		if _, err := os.ReadFile(strings.TrimSpace(path)); err != nil {
			return 0, err
		}
	}
	return b.lines.Data(c, in)
}

// saying is lines, but says each on standard error too.
type saying struct{ lines }

func (s saying) Open(*worker.Conn) (worker.Session, error) { return s, nil }

func (s saying) Data(c *worker.Conn, in []byte) (int, error) {
	n, err := s.lines.Data(c, in)
	_, _ = os.Stderr.Write(in[:n]) // the story looks whether it came
	return n, err
}

// limited is the command with as many descriptors as its first argument says,
// which it has no way to raise.
func limited() {
	most, err := strconv.ParseUint(os.Args[2], 10, 32)
	if err != nil {
		panic(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
		panic(err)
	}
	become(os.Args[3:])
}

// activated is the command as systemd starts it: with its own pid in LISTEN_PID.
func activated() {
	if err := os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())); err != nil {
		panic(err)
	}
	become(os.Args[2:])
}

// become executes the command in this process's place.
func become(args []string) {
	panic(syscall.Exec(self(), append([]string{self()}, args...), os.Environ()))
}

// serveAll is serveCommandLine for a server with several addresses; that of s
// is the first.
func serveAll(t *testing.T, cmd *exec.Cmd, mark string, args ...string) (s *server, listeners []master.ListenerStatus) {
	t.Helper()
	s = launch(t, cmd, mark, args...)
	s.started = s.out.await(t, 1, "usher: serving on")
	status := s.until("all workers are ready", allReady)
	for _, l := range status.Listeners {
		if !strings.Contains(s.started, l.Address) {
			t.Errorf("start line %q, want it to name %s", s.started, l.Address)
		}
	}
	s.address, s.workers = status.Listeners[0].Address, len(status.Workers)
	s.masterFDs = s.descriptors()
	s.workerFDs = descriptors(status.Workers[0].PID)
	return s, status.Listeners
}

// now is the status, with everyone ready.
func (s *server) now() master.Status {
	s.t.Helper()
	return s.until("all workers are ready", allReady)
}

// everyone returns the pids of the master and its workers.
func (s *server) everyone() []int {
	s.t.Helper()
	return slices.Insert(pids(s.now()), 0, s.pid)
}

// queued waits until so many connections wait in the workers' queues.
func (s *server) queued(n int) {
	s.t.Helper()
	s.until(fmt.Sprintf("%d wait in the queues", n), func(status master.Status) bool {
		return status.Connections.Queued == uint64(n)
	})
}

// unchanged checks that the workers are those of before, and lost no connection.
func (s *server) unchanged(before master.Status) {
	s.t.Helper()
	after := s.now()
	if !slices.Equal(pids(after), pids(before)) {
		s.t.Errorf("workers %v, were %v", pids(after), pids(before))
	}
	if after.Connections.Lost != 0 {
		s.t.Errorf("%d connections lost", after.Connections.Lost)
	}
}

// standStill checks that processes use no processor time. That is about time,
// and so it lets some pass. What spins uses a tick each 10 ms; two may be the
// runtime's doing. It takes longer than the second after which the master looks
// whether some worker is stuck: what would be noticed only then comes too late.
func standStill(t *testing.T, what string, pids []int) {
	t.Helper()
	const mostTicks = 2
	window := sized(1200*time.Millisecond, 3*time.Second)
	before := uses(t, pids)
	<-time.After(window)
	for i, after := range uses(t, pids) {
		ticks := after.ticks - before[i].ticks
		t.Logf("%s, %v: process %d used %d ticks, %d wakeups", what, window, pids[i], ticks, after.wakeups-before[i].wakeups)
		if ticks > mostTicks {
			t.Errorf("%s: %d ticks of processor time in %v, want at most %d", what, ticks, window, mostTicks)
		}
	}
}

// converse sends all of in to an address, of TCP or unix://PATH, finishes
// sending, and returns what comes back until the end, which must be one in order.
func converse(t *testing.T, address, in string) string {
	t.Helper()
	network := "tcp"
	if path, found := strings.CutPrefix(address, "unix://"); found {
		network, address = "unix", path
	}
	conn, err := net.DialTimeout(network, address, limit)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = conn.SetDeadline(time.Now().Add(limit))
	_, sendErr := io.WriteString(conn, in)
	err = errors.Join(err, sendErr, conn.(interface{ CloseWrite() error }).CloseWrite())
	got, readErr := io.ReadAll(conn)
	if err := errors.Join(err, readErr); err != nil {
		t.Errorf("sent %.100q, got %.100q, %v", in, got, err)
	}
	return string(got)
}

// dialFrom is dial from a given address of this machine.
func dialFrom(t *testing.T, source, address string) *client {
	t.Helper()
	c, err := connectBy(&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: limit}, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.conn.Close() }) // if the story did not
	return c
}

// crowd connects n clients, each of which has sent a line. Nobody has read an
// answer yet.
func crowd(t *testing.T, address string, n int) (clients []*client) {
	t.Helper()
	for range n {
		c := dial(t, address)
		if err := c.send("hello\n"); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	return clients
}

// answered reads everyone's answer, and counts them by worker.
func answered(t *testing.T, clients []*client) map[int]int {
	t.Helper()
	at := make(map[int]int)
	for i, c := range clients {
		pid, err := c.answer("hello")
		if err != nil {
			t.Fatalf("client %d of %d: %v", i, len(clients), err)
		}
		at[pid]++
	}
	return at
}

func leaveAll(t *testing.T, clients []*client) {
	t.Helper()
	for _, c := range clients {
		c.leave(t)
	}
}

// sockets returns the inodes of a process's sockets by descriptor.
func sockets(t *testing.T, pid int) map[int]string {
	t.Helper()
	found := make(map[int]string)
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		target, err := os.Readlink(dir + entry.Name())
		inode, isSocket := strings.CutPrefix(target, "socket:[")
		if err != nil || !isSocket {
			continue
		}
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		found[fd] = strings.TrimSuffix(inode, "]")
	}
	return found
}

// tcpSocket is a line of /proc/net/tcp (proc_net(5)): hexadecimal, the address
// in the machine's byte order.
type tcpSocket struct{ local, state, inode string }

// The states of a tcpSocket (include/net/tcp_states.h).
const (
	tcpTimeWait = "06"
	tcpListen   = "0A"
)

// tcpSockets returns the IPv4 sockets of this machine whose own port is that
// of address, in a state.
func tcpSockets(t *testing.T, address, state string) (found []tcpSocket) {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) > 9 && fields[3] == state && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", number)) {
			found = append(found, tcpSocket{fields[1], fields[3], fields[9]})
		}
	}
	return found
}

// storm sends a process signals that mean nothing.
func storm(t *testing.T, pids []int, rounds int) {
	t.Helper()
	for range rounds {
		for _, sig := range []unix.Signal{unix.SIGURG, unix.SIGCHLD, unix.SIGWINCH, unix.SIGCONT} {
			for _, pid := range pids {
				kill(t, pid, sig)
			}
		}
	}
}
