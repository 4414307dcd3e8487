package child

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

func noWait(time.Duration, <-chan struct{}) {}

// newTestReaper returns a reaper that runs until the end of the test. The test starts
// children by nothing else.
func newTestReaper(t *testing.T) *Reaper {
	t.Helper()
	r := NewReaper(hclog.NewNullLogger())
	over := make(chan error)
	go func() { over <- r.Run() }()
	t.Cleanup(func() {
		r.EndGroups(true)
		r.Interrupt(nil)
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	return r
}

// A command has the descriptors that it is given, and none else; its end comes after all
// that it said.
func TestCommand(t *testing.T) {
	leaktest.Descriptors(t)
	r := newTestReaper(t)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	from := os.NewFile(uintptr(pipe[0]), "from")
	defer from.Close()
	c, err := StartCommand(CommandSpec{
		Path: "/bin/sh", Argv: []string{"sh", "-c", `echo one two >&2; echo "$WORD" >&3; echo unheard; printf three >&2; exit 7`},
		Env: []string{"WORD=given"}, Files: []int{pipe[1]}, Log: hclog.NewNullLogger(), AwaitRoom: noWait,
	}, r)
	_ = unix.Close(pipe[1])
	if err != nil {
		t.Fatal(err)
	}
	status := <-c.Exited
	if got, want := Reason(status), "exit status 7"; got != want {
		t.Errorf("it ended with %s, want %s", got, want)
	}
	if got, want := c.StderrTail(), "one two\nthree"; got != want {
		t.Errorf("standard error: %q, want %q", got, want)
	}
	said := make([]byte, 100)
	if n, err := from.Read(said); err != nil || string(said[:n]) != "given\n" {
		t.Errorf("descriptor 3: %q, %v", said[:n], err)
	}
	c.Kill() // it is reaped: another's process with its number is safe
}

// One that is killed says so; one that cannot be started leaves nothing behind.
func TestCommandKilled(t *testing.T) {
	leaktest.Descriptors(t)
	r := newTestReaper(t)
	spec := CommandSpec{Path: "/bin/sh", Argv: []string{"sh", "-c", "read -r line"}, Log: hclog.NewNullLogger(), AwaitRoom: noWait}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	spec.Argv[2] = "read -r line <&3"
	spec.Files = pipe[:1]
	c, err := StartCommand(spec, r)
	if err != nil {
		t.Fatal(err)
	}
	c.Kill()
	if got, want := Reason(<-c.Exited), "signal SIGKILL"; got != want {
		t.Errorf("it ended with %s, want %s", got, want)
	}
	spec.Path = "/bin/there is no such program"
	if _, err := StartCommand(spec, r); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v, want it to say that there is none", err)
	}
}
