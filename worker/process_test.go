package worker_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// process is a worker in a process of its own, and the master's side of it.
type process struct {
	*rig
	os     *os.Process
	stdout *os.File

	numbers []atomic.Uint64 // of its metrics
}

// start starts a helper as a master would, and sends hello.
func start(t *testing.T, helper string, protocol int, environ ...string) *process {
	t.Helper()
	queue, workerQueue, err := fdpass.Pair()
	check(t, err)
	control, workerControl, err := fdpass.Pair()
	check(t, err)
	board, places, err := ipc.NewScoreboardFor(2)
	check(t, err)
	numbers, err := board.Numbers(places.Metrics)
	check(t, err)
	stdout, childStdout, err := os.Pipe()
	check(t, err)
	environ = append(append(os.Environ(), environ...), helperVariable+"="+helper, "USHER_LISTEN=:1")
	pid, err := syscall.ForkExec(os.Args[0], os.Args[:1], &syscall.ProcAttr{
		Env:   append(ipc.Environ(environ, ipc.Identity{Protocol: protocol, Slot: 1, Generation: 1}), ipc.MetricsEnviron(places.Metrics)),
		Files: []uintptr{0, childStdout.Fd(), 2, uintptr(workerQueue), uintptr(workerControl), uintptr(board.FD())},
	})
	check(t, err)
	check(t, childStdout.Close())
	fdpass.CloseAll([]int{workerQueue, workerControl})
	child, err := os.FindProcess(pid)
	check(t, err)
	s := &rig{t: t, queue: queue, control: os.NewFile(uintptr(control), "control"), entry: board.Entry(1),
		messages: make(chan ipc.Message, 100)}
	s.listen, s.address = listen(t)
	received := make(chan struct{})
	go func() {
		defer close(received)
		s.receive()
	}()
	p := &process{rig: s, os: child, stdout: stdout, numbers: numbers}
	t.Cleanup(func() {
		_ = child.Kill()      // it has ended, unless the test failed
		_, _ = child.Wait()   // likewise
		_ = s.control.Close() // likewise
		<-received
		fdpass.CloseAll([]int{queue, s.listen})
		check(t, stdout.Close())
		check(t, board.Close())
	})
	s.tell(ipc.Hello{Protocol: protocol})
	return p
}

// expectExit waits for the end of the process.
func (p *process) expectExit(status int) {
	p.t.Helper()
	done := make(chan *os.ProcessState, 1)
	go func() {
		state, err := p.os.Wait()
		if err != nil {
			p.t.Error(err)
		}
		done <- state
	}()
	if state := await(p.t, done); state.ExitCode() != status {
		p.t.Errorf("the worker ended with %v, want exit status %d", state, status)
	}
}

func (p *process) expectOutput(want string) {
	p.t.Helper()
	check(p.t, p.stdout.SetReadDeadline(time.Now().Add(patience)))
	buffer := make([]byte, 1000)
	n, err := p.stdout.Read(buffer)
	if err != nil || string(buffer[:n]) != want {
		p.t.Fatalf("got %q, %v; want %q", buffer[:n], err, want)
	}
}

// The master's end is the worker's, whatever its handlers do.
func TestMasterGoneEndsTheProcess(t *testing.T) {
	tests := []struct {
		helper  string
		environ []string
	}{
		{helper: "echo"}, {helper: "stuck"}, {helper: "spinning"},
		{helper: "echo", environ: []string{"GOMAXPROCS=1"}},
		{helper: "spinning", environ: []string{"GOMAXPROCS=1"}},
		{helper: "echo", environ: []string{"GODEBUG=asyncpreemptoff=1"}},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.helper, test.environ), func(t *testing.T) {
			p := start(t, test.helper, ipc.Version, test.environ...)
			next[ipc.Ready](p.rig)
			c := p.connect()
			c.send("x")
			if test.helper == "echo" {
				c.expect("x")
			} else {
				p.expectOutput("x")
			}
			check(t, p.control.Close())
			p.expectExit(1)
		})
	}
}

func TestStopWhileStuck(t *testing.T) {
	for _, helper := range []string{"stuck", "spinning"} {
		t.Run(helper, func(t *testing.T) {
			p := start(t, helper, ipc.Version)
			next[ipc.Ready](p.rig)
			p.connect().send("x")
			p.expectOutput("x")
			p.tell(ipc.Stop{})
			p.expectExit(0)
		})
	}
}

func TestSignals(t *testing.T) {
	p := start(t, "echo", ipc.Version)
	next[ipc.Ready](p.rig)
	c := p.connect()
	for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGUSR1, syscall.SIGUSR2} {
		check(t, p.os.Signal(signal))
		c.send("x")
		c.expect("x")
	}
	check(t, p.os.Signal(syscall.SIGTERM))
	next[ipc.Draining](p.rig)
	c.send("y")
	c.expect("y")
	check(t, c.Close())
	p.expectExit(0)
}

// What a worker starts is no worker, and has no ignored signals from it.
func TestNothingIsInherited(t *testing.T) {
	p := start(t, "nosy", ipc.Version)
	next[ipc.Ready](p.rig)
	p.connect().send("x")
	p.expectOutput("before=true after=false environment=false ignored=false\n")
	for fd := 3; fd <= 5; fd++ {
		info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", p.os.Pid, fd))
		check(t, err)
		var flags int
		for line := range strings.Lines(string(info)) {
			_, _ = fmt.Sscanf(line, "flags: %o", &flags) // other lines do not match
		}
		if flags&unix.O_CLOEXEC == 0 {
			t.Errorf("descriptor %d is not close-on-exec: flags %o", fd, flags)
		}
	}
	check(t, p.control.Close())
	p.expectExit(1)
}

func TestAnotherProtocol(t *testing.T) {
	p := start(t, "echo", ipc.Version+1)
	p.expectExit(1)
}

// A function of streams that panics ends its worker.
func TestStreamsPanicProcess(t *testing.T) {
	p := start(t, "stream-panics", ipc.Version)
	p.expectExit(1)
}

// In a process without a master, Main says what to do.
func TestRunByHand(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-flag", "argument")
	cmd.Env = append(os.Environ(), helperVariable+"=echo")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Errorf("got %v, want exit status 2", err)
	}
	want := "usher serve -- " + os.Args[0] + " -flag argument\n"
	if !strings.Contains(stderr.String(), want) {
		t.Errorf("got %q, want %q in it", stderr.String(), want)
	}
}

// A worker at rest costs nothing: no turns, no signals.
func TestIdleProcessRests(t *testing.T) {
	p := start(t, "echo", ipc.Version)
	next[ipc.Ready](p.rig)
	c := p.connect()
	c.send("x")
	c.expect("x")
	p.expectRest()
	check(t, p.control.Close())
	p.expectExit(1)
}
