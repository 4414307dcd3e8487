package child

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// start launches a shell that runs a script as a worker, and returns what its owner
// hears of it.
func start(t *testing.T, script string) (*Launcher, *Process, chan Event) {
	t.Helper()
	return startWith(t, script, ipc.Hello{Protocol: ipc.Version})
}

func startWith(t *testing.T, script string, hello ipc.Hello) (*Launcher, *Process, chan Event) {
	t.Helper()
	program, err := OpenProgram(ProgramSettings{Argv: []string{"/bin/sh", "-c", script}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(program.Close)
	board, err := ipc.NewScoreboard(4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = board.Close() }) // of memory
	heard := make(chan Event, 100)
	t.Setenv("TEST_PRIVATE", "nobody's business")
	l := &Launcher{
		Reaper: newTestReaper(t), Log: hclog.NewNullLogger(), AwaitRoom: noWait,
		Owner: func(e Event) { heard <- e }, Private: []string{"TEST_PRIVATE"},
	}
	p, err := l.Launch(Spec{ID: ID{Slot: 3, Generation: 2, Incarnation: 1}, Program: program, Scoreboard: board.FD(), Hello: hello})
	if err != nil {
		t.Fatal(err)
	}
	return l, p, heard
}

// giveUp closes what the owner of a process has, after its end.
func giveUp(p *Process) {
	queue, workerEnd := p.Queue()
	fdpass.CloseAll([]int{queue, workerEnd})
	p.HangUp()
}

// A worker is told who it is, and not what is private; its end is the last that is heard
// of it.
func TestLaunch(t *testing.T) {
	leaktest.Descriptors(t)
	_, p, heard := start(t, `echo "slot $USHER_SLOT of $USHER_GENERATION$TEST_PRIVATE" >&2; exit 5`)
	e, ok := (<-heard).(Exited)
	if want := (ID{Slot: 3, Generation: 2, Incarnation: 1}); !ok || e.ID != want || Reason(e.Status) != "exit status 5" {
		t.Errorf("%+v, want the end of %+v with 5", e, want)
	}
	if got, want := p.StderrTail(), "slot 3 of 2"; got != want {
		t.Errorf("standard error: %q, want %q", got, want)
	}
	if p.LeftOthers() {
		t.Error("nobody else has its end of control")
	}
	giveUp(p)
}

// What a worker says that is no message is told as that, and no more is heard.
func TestLaunchedTalksNonsense(t *testing.T) {
	leaktest.Descriptors(t)
	l, p, heard := start(t, `printf nonsense >&4; read -r line`)
	e := <-heard
	if broken, ok := e.(Broken); !ok || broken.Err == nil || broken.Slot != 3 {
		t.Errorf("%T %+v, want Broken", e, e)
	}
	l.Reaper.Signal(p.PID(), unix.SIGKILL)
	if e, ok := (<-heard).(Exited); !ok {
		t.Errorf("%T, want its end", e)
	}
	giveUp(p)
}

// A process is handed over in the middle of a line that it writes, and nothing is lost.
func TestRestore(t *testing.T) {
	leaktest.Descriptors(t)
	steps := t.TempDir()
	for _, name := range []string{"1", "2"} {
		if err := unix.Mkfifo(filepath.Join(steps, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("STEPS", steps)
	l, p, heard := start(t, `printf "one\ntw" >&2; : >"$STEPS/1"; : >"$STEPS/2"; echo o >&2; exit 6`)
	step := func(name string) { // returns when the worker has come so far
		file, err := os.OpenFile(filepath.Join(steps, name), os.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = file.Close() // nothing is written to it
	}
	step("1")
	p.Pause()
	state := p.State()
	for _, fd := range []*int{&state.Control, &state.Stderr} { // each program has its own
		duplicate, err := unix.FcntlInt(uintptr(*fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		*fd = duplicate
	}
	restored := l.Restore(ID{Slot: 3, Generation: 2, Incarnation: 9}, state)
	step("2")
	if e, ok := (<-heard).(Exited); !ok || e.Incarnation != 9 || Reason(e.Status) != "exit status 6" {
		t.Errorf("%+v, want the end of what was restored", e)
	}
	if got, want := restored.StderrTail(), "one\ntwo"; got != want {
		t.Errorf("standard error: %q, want %q", got, want)
	}
	giveUp(restored)
	p.HangUp()
	_ = p.link.stderr.from.Close() // the program before has gone by execve(2)
}

// What /proc says of a process.
func TestFacts(t *testing.T) {
	leaktest.Descriptors(t)
	l, p, heard := start(t, `exec 3>&-; kill -STOP $$; exit 0`)
	_, workerEnd := p.Queue()
	var stat unix.Stat_t
	if err := unix.Fstat(workerEnd, &stat); err != nil {
		t.Fatal(err)
	}
	if ClosedQueue(os.Getpid(), stat.Ino) {
		t.Error("the master has a duplicate of the worker's end")
	}
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, p.PID(), &info, unix.WSTOPPED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if !Stopped(p.PID()) || Stopped(os.Getpid()) {
		t.Errorf("stopped: %t, and itself %t", Stopped(p.PID()), Stopped(os.Getpid()))
	}
	if !ClosedQueue(p.PID(), stat.Ino) {
		t.Error("it has closed its queue")
	}
	if n := ResidentBytes(p.PID()); n < 4096 || ResidentBytes(1<<30) != 0 {
		t.Errorf("%d bytes resident, and %d of nobody", n, ResidentBytes(1<<30))
	}
	l.Reaper.Signal(p.PID(), unix.SIGKILL)
	if e, ok := (<-heard).(Exited); !ok {
		t.Errorf("%T, want its end", e)
	}
	giveUp(p)
}
