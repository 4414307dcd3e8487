package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal (pty(7)).
type terminal struct {
	screen  *os.File // the program's end that shows it
	program *os.File // the end for programs
	shown   *transcript
}

// openTerminal opens one. Its settings are changed by flags of termios(3).
func openTerminal(t *testing.T, localFlags uint32) *terminal {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err) // a machine without terminals
	}
	control := func(f *os.File, do func(fd int) error) {
		t.Helper()
		raw, err := f.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var failure error
		if err := raw.Control(func(fd uintptr) { failure = do(int(fd)) }); err != nil || failure != nil {
			t.Fatal(err, failure)
		}
	}
	var number int
	control(screen, func(fd int) (err error) {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	program, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	control(program, func(fd int) error {
		termios, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		termios.Lflag |= localFlags
		return unix.IoctlSetTermios(fd, unix.TCSETS, termios)
	})
	term := &terminal{screen: screen, program: program, shown: &transcript{changed: make(chan struct{})}}
	go term.shown.read(screen)
	t.Cleanup(term.close)
	return term
}

// close closes the terminal, as one closes a window.
func (term *terminal) close() {
	_ = term.program.Close() // it may be closed already
	_ = term.screen.Close()  // likewise
}

// serveIn starts a server in a shell that leads a session in the terminal, and
// waits for its start line. The script starts it by "$0" "$@".
func (term *terminal) serveIn(t *testing.T, script string, args ...string) *server {
	t.Helper()
	cmd, mark := command()
	control := filepath.Join(shortDir(t), "c")
	cmd.Args = append([]string{"sh", "-c", script, cmd.Path, "serve", "--listen", "127.0.0.1:0", "--control", control}, args...)
	cmd.Path = "/bin/sh"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.program, term.program, term.program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s := launchAs(t, cmd, mark, control)
	s.out, s.log = term.shown, term.shown
	_ = term.program.Close() // the shell has it now
	line := strings.TrimRight(term.shown.await(t, 1, "usher: serving on"), "\r")
	match := startLine.FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("start line %q, want it to match %s", line, startLine)
	}
	s.address = match[1]
	s.pid, _ = strconv.Atoi(match[2]) // it has matched
	return s
}

// A server in the background of a terminal with tostop writes to it: no line is a
// command to the master, nor stops a worker.
func TestTerminalStopsBackground(t *testing.T) {
	t.Parallel()
	term := openTerminal(t, unix.TOSTOP)
	program := filepath.Join(shortDir(t), "w")
	script(t, program, fmt.Sprintf("#!/bin/sh\necho said by $USHER_SLOT\nexec %s worker lines\n", self()))
	s := term.serveIn(t, `set -m; "$0" "$@" & wait $!`, "--workers", "4", "--log-level", "debug", "--", program)
	s.until("all workers are there", ready(4))
	for slot := range 4 {
		term.shown.await(t, 1, fmt.Sprintf("said by %d", slot))
		term.shown.await(t, 1, "worker ready", fmt.Sprintf("slot=%d ", slot))
	}
	s.signal(unix.SIGTTOU)
	s.until("one fewer", ready(3))
	s.signal(unix.SIGTERM)
	s.ends(0)
	if scaled := term.shown.with("signal=SIGTTOU"); len(scaled) != 1 {
		t.Errorf("%q, want one signal", scaled)
	}
}

// The terminal is closed: that is one reload, and the server goes on, with nowhere
// to log to.
func TestTerminalCloses(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"without a shell": `exec "$0" "$@"`,
		"of a shell":      `set -m; "$0" "$@"`,
	} {
		t.Run(name, func(t *testing.T) {
			term := openTerminal(t, 0)
			s := term.serveIn(t, script, "--app", "lines", "--workers", "1")
			c := dial(t, s.address)
			c.ask(t, "before")
			term.close()
			s.until("generation 2", func(status master.Status) bool { return status.Generation == 2 && ready(1)(status) })
			s.signal(unix.SIGUSR1) // follows whatever HUP has come
			s.until("one more worker", ready(2))
			c.ask(t, "after")
			status, err := s.status()
			if err != nil || status.Generation != 2 {
				t.Errorf("%+v, %v; want generation 2", status, err)
			}
			c.leave(t)
			s.signal(unix.SIGTERM)
			s.waitExit()
			s.leavesNothing()
		})
	}
}
