package ipc_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// pythonWorker is the worker in PROTOCOL.md, started by hand.
type pythonWorker struct {
	t              *testing.T
	pid            int
	queue, control int
	board          *ipc.Scoreboard
}

func startPythonWorker(t *testing.T) *pythonWorker {
	t.Helper()
	python := findPython(t)
	leaktest.Descriptors(t)
	page, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	programs := regexp.MustCompile("(?s)```python\n(.*?)```").FindAllSubmatch(page, -1)
	if len(programs) != 1 {
		t.Fatalf("PROTOCOL.md has %d Python programs, want 1", len(programs))
	}
	w := &pythonWorker{t: t}
	queue := newPair(t)
	control := newPair(t)
	w.queue, w.control = queue[0], control[0]
	if w.board, err = ipc.NewScoreboard(1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.board.Close(); err != nil {
			t.Error(err)
		}
	})
	w.pid, err = syscall.ForkExec(python, []string{python, "-c", string(programs[0][1])}, &syscall.ProcAttr{
		Env:   ipc.Environ(os.Environ(), ipc.Identity{Protocol: ipc.Version, Slot: 0, Generation: 1}),
		Files: []uintptr{0, 1, 2, uintptr(queue[1]), uintptr(control[1]), uintptr(w.board.FD())},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.end)
	fdpass.CloseAll([]int{queue[1], control[1]}) // so that its death is the end of file
	return w
}

// findPython returns the interpreter itself: what is in PATH may be a script that
// uses descriptors of its own.
func findPython(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("there is no python3 here")
	}
	path, err := exec.Command("python3", "-c", "import socket, sys; socket.recv_fds; print(sys.executable)").Output()
	if err != nil {
		t.Skipf("python3 is too old, or broken: %v", err)
	}
	return strings.TrimSpace(string(path))
}

// newPair's ends are closed when the test ends, if they are not by then.
func newPair(t *testing.T) [2]int {
	t.Helper()
	a, b, err := fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fdpass.CloseAll([]int{a}) })
	return [2]int{a, b}
}

func (w *pythonWorker) end() {
	if w.pid != 0 {
		_ = syscall.Kill(w.pid, syscall.SIGKILL) // not waited for yet, so there it is
		w.wait()
	}
}

// wait returns the exit status.
func (w *pythonWorker) wait() int {
	w.t.Helper()
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(w.pid, &status, 0, nil)
		if err == nil {
			break
		}
		if err != syscall.EINTR {
			w.t.Fatal(err)
		}
	}
	w.pid = 0
	return status.ExitStatus()
}

// heard returns the next message from the worker.
func (w *pythonWorker) heard() ipc.Message {
	w.t.Helper()
	poll := []unix.PollFd{{Fd: int32(w.control), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(poll, -1)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			w.t.Fatal(err)
		}
	}
	b := make([]byte, ipc.MaxMessage+1)
	n, err := unix.Read(w.control, b)
	if err != nil {
		w.t.Fatal(err)
	}
	if n == 0 {
		w.t.Fatal("the worker is gone")
	}
	m, err := ipc.ParseMessage(b[:n])
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *pythonWorker) expect(want ipc.Message) {
	w.t.Helper()
	if got := w.heard(); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		w.t.Fatalf("the worker said %#v, want %#v", got, want)
	}
}

func (w *pythonWorker) say(m ipc.Message) {
	w.t.Helper()
	b, err := ipc.EncodeMessage(m)
	if err == nil {
		_, err = unix.Write(w.control, b)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// connect gives the worker so many TCP connections in one packet, and returns
// the clients' ends.
func (w *pythonWorker) connect(count int) []net.Conn {
	w.t.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		w.t.Fatal(err)
	}
	defer listener.Close()
	var packet ipc.Packet
	defer packet.Close()
	var clients []net.Conn
	for i := range count {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { client.Close() })
		clients = append(clients, client)
		accepted, err := listener.AcceptTCP()
		if err != nil {
			w.t.Fatal(err)
		}
		packet.Add(&ipc.Envelope{ID: uint64(i + 1), Listener: "web"}, duplicate(w.t, accepted))
		accepted.Close()
	}
	var packets ipc.PacketConn
	if err := packets.Send(w.queue, &packet); err != nil {
		w.t.Fatal(err)
	}
	return clients
}

func duplicate(t *testing.T, conn *net.TCPConn) int {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	if e := raw.Control(func(live uintptr) { fd, err = unix.FcntlInt(live, unix.F_DUPFD_CLOEXEC, 0) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return fd
}

func echo(t *testing.T, conn net.Conn, size int) {
	t.Helper()
	sent := bytes.Repeat([]byte("0123456789"), size/10)
	failed := make(chan error, 1)
	go func() {
		_, err := conn.Write(sent)
		failed <- err
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("the echo of %d bytes: %v, equal %v", len(sent), err, bytes.Equal(got, sent))
	}
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// The program in PROTOCOL.md is a worker.
func TestPythonWorker(t *testing.T) {
	w := startPythonWorker(t)
	w.say(ipc.Hello{Protocol: ipc.Version})
	w.expect(ipc.Ready{Protocol: ipc.Version, Closes: true})
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGUSR2} {
		if err := syscall.Kill(w.pid, signal); err != nil {
			t.Fatal(err)
		}
	}
	clients := append(w.connect(3), w.connect(64)...)
	for _, client := range clients {
		echo(t, client, 10)
	}
	echo(t, clients[0], 4<<20) // more than the sockets hold
	clients[0].Close()
	w.expect(ipc.Closed{Count: 1})

	w.say(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: 10_000})
	for _, client := range clients[1:] {
		echo(t, client, 100) // still served
		client.Close()
		w.expect(ipc.Closed{Count: 1})
	}
	if status := w.wait(); status != 0 {
		t.Errorf("exit status %d after drain, want 0", status)
	}
}

func TestPythonWorkerEnds(t *testing.T) {
	tests := []struct {
		name string
		by   func(t *testing.T, w *pythonWorker)
	}{
		{"by stop", func(_ *testing.T, w *pythonWorker) { w.say(ipc.Stop{}) }},
		{"by the master's end", func(_ *testing.T, w *pythonWorker) {
			if err := unix.Shutdown(w.control, unix.SHUT_WR); err != nil {
				w.t.Fatal(err)
			}
		}},
		{"by SIGTERM", func(t *testing.T, w *pythonWorker) {
			client := w.connect(1)[0]
			echo(t, client, 10)
			if err := syscall.Kill(w.pid, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			w.expect(ipc.Draining{})
			echo(t, client, 10)
			client.Close()
			w.expect(ipc.Closed{Count: 1})
		}},
		{"by drain without a connection", func(_ *testing.T, w *pythonWorker) {
			w.say(ipc.Unknown{Type: "of the future"})
			w.say(ipc.Drain{Mode: ipc.DrainFinish})
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := startPythonWorker(t)
			w.expect(ipc.Ready{Protocol: ipc.Version, Closes: true})
			test.by(t, w)
			if status := w.wait(); status != 0 {
				t.Errorf("exit status %d, want 0", status)
			}
		})
	}
}

// Every message and field that this version knows is on the page.
func TestProtocolPageIsComplete(t *testing.T) {
	page, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("../testdata/ipc/control.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`"type":"([a-z-]+)"|"([a-z_]+)":`).FindAllStringSubmatch(string(golden), -1)
	if len(words) == 0 {
		t.Fatal("no words in the golden messages")
	}
	for _, word := range words {
		if name := word[1] + word[2]; !bytes.Contains(page, []byte("`"+name+"`")) && name != "type" {
			t.Errorf("PROTOCOL.md does not mention %s", name)
		}
	}
}
