package master

import (
	"github.com/usher-go/usher/master/internal/sigmask"
	"golang.org/x/sys/unix"
)

// With `stty tostop` a terminal sends TTOU to a process group in the background that
// writes to it, and does not take what is written (termios(3)), unless the thread that
// writes blocks the signal, or the process ignores it. To a master TTOU is a command: so
// the thread that writes the log blocks it.

// blockTTOU has this goroutine's thread write to terminals from the background, until
// undo is called.
func blockTTOU() (undo func()) {
	undo, err := sigmask.Block(unix.SIGTTOU)
	if err != nil { // it fails for arguments that are none
		return func() {}
	}
	return undo
}

// hasTerminal reports whether this process has a controlling terminal (tty(4)). It
// loses it for good when that is closed.
func hasTerminal() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd) // it was only opened
	}
	return err == nil
}
