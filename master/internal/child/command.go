package child

import (
	"os"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// Command is a child that is no worker: without a queue and a control link. Its
// standard error goes to the log, line by line.
type Command struct {
	Exited <-chan unix.WaitStatus // has room for its end, which is sent when its StderrTail is whole

	pid    int
	reaper *Reaper
	exited chan unix.WaitStatus
	stderr *stderrTail
}

// CommandSpec is what a Command is to be.
type CommandSpec struct {
	Path  string
	Argv  []string
	Env   []string
	Files []int // borrowed: its descriptors from 3 on
	Log   hclog.Logger
	// AwaitRoom is as a Launcher's.
	AwaitRoom func(limit time.Duration, quit <-chan struct{})
}

// StartCommand starts a child, in a process group of its own, which reads nothing and
// whose standard output goes nowhere. It does not block beyond fork and exec.
func StartCommand(s CommandSpec, r *Reaper) (*Command, error) {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
	}
	defer unix.Close(null)
	var stderr [2]int
	if err := unix.Pipe2(stderr[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	defer unix.Close(stderr[1])
	_ = unix.SetNonblock(stderr[0], true) // a pipe can be
	exited := make(chan unix.WaitStatus, 1)
	c := &Command{
		Exited: exited, reaper: r, exited: exited,
		stderr: newStderrTail(os.NewFile(uintptr(stderr[0]), "stderr"), s.Log, s.AwaitRoom),
	}
	c.stderr.resume()
	files := []uintptr{uintptr(null), uintptr(null), uintptr(stderr[1])}
	for _, fd := range s.Files {
		files = append(files, uintptr(fd))
	}
	c.pid, err = r.start(func() (int, error) {
		return forkExec(s.Path, s.Argv, &syscall.ProcAttr{Env: s.Env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true}})
	}, c)
	if err != nil {
		c.stderr.end()
		return nil, err
	}
	return c, nil
}

// Kill ends it, and does not wait for its end. It may have ended.
func (c *Command) Kill() { c.reaper.Signal(c.pid, unix.SIGKILL) }

// StderrTail returns the last lines on its standard error. Once its end was received.
func (c *Command) StderrTail() string { return c.stderr.String() }

func (c *Command) ended() {}

func (c *Command) reaped(status unix.WaitStatus, _ time.Duration) {
	go func() {
		c.stderr.end()
		c.exited <- status
	}()
}
