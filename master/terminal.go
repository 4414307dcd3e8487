package master

import (
	"time"

	"github.com/usher-go/usher/master/internal/sigmask"
	"golang.org/x/sys/unix"
)

// With `stty tostop` a terminal sends TTOU to a process group in the background that
// writes to it, and does not take what is written (termios(3)); unless the thread
// that writes blocks the signal, or the process ignores it. TTOU is a command to a
// master, and would stop a worker: so it is blocked where they write.

// blockTTOU has this goroutine's thread write to terminals from the background, until
// undo is called.
func blockTTOU() (undo func()) {
	undo, err := sigmask.Block(unix.SIGTTOU)
	if err != nil { // it fails for arguments that are none
		return func() {}
	}
	return undo
}

// hupFilter tells the requests to reload from the end of the terminal that the master
// was started in: its shell passes HUP on, and then the kernel sends it.
type hupFilter struct {
	terminal bool      // this process had one when it was last looked
	over     time.Time // until then HUP is taken for more of the same
}

// sameHangUp is how long after the first another HUP may come for the same end.
const sameHangUp = time.Second

func newHUPFilter() hupFilter { return hupFilter{terminal: hasTerminal()} }

// asks reports whether HUP, which has come now, is one more request. terminal is
// whether this process has one still.
func (h *hupFilter) asks(now time.Time, terminal bool) bool {
	if now.Before(h.over) {
		return false
	}
	if h.terminal && !terminal {
		h.over = now.Add(sameHangUp)
	}
	h.terminal = terminal
	return true
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
