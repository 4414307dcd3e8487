package master

import "time"

// hupFilter tells a SIGHUP that asks for a reload from one that comes because the master's
// terminal has gone. The latter comes twice: the shell passes it on, and then the kernel
// sends it. The first asks for a reload all the same, and the second is dropped. It belongs
// to the supervisor's goroutine.
type hupFilter struct {
	terminal bool      // this process had one when a HUP last came, or at the start
	until    time.Time // HUP is dropped until then
}

// sameHangUp is how long after the first HUP the second may come for the same terminal.
const sameHangUp = time.Second

func newHUPFilter() hupFilter { return hupFilter{terminal: hasTerminal()} }

// isRequest reports whether HUP, which has come now, asks for a reload. terminal is
// whether this process still has one.
func (h *hupFilter) isRequest(now time.Time, terminal bool) bool {
	if now.Before(h.until) {
		return false
	}
	if h.terminal && !terminal {
		h.until = now.Add(sameHangUp)
	}
	h.terminal = terminal
	return true
}
