package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// evidence is what is known of an era when it is over.
type evidence struct {
	*journal
	deaths    map[int]death // that connections may die of
	told, cut time.Duration // see era
	limited   bool
	liars     map[int]bool // workers that died with counters made up

	reloaded int          // the generation that serves, as far as the log is read
	later    map[int]bool // workers that were started when theirs did, by pid
}

// lied reports whether a connection may have died with a worker that had it booked
// as closed.
func (v *evidence) lied(f failure) bool {
	deeds := v.journal.deeds(f)
	return len(deeds) > 0 && v.liars[deeds[len(deeds)-1].pid] || len(deeds) == 0 && len(v.liars) > 0
}

// explain says why a connection failed, or, if it had no right to, what is known
// of it. The process that held it is the one of the journal's last line about it:
// that must have died before the client saw the end, and not long before. Where
// that line is of leaving, it may be in any process that had received it and not
// yet said so: then one must have died meanwhile.
func (v *evidence) explain(f failure) (why string, ok bool) {
	if errors.Is(f.err, errWrong) || errors.Is(f.err, os.ErrDeadlineExceeded) {
		return "not an end of the connection", false
	}
	deeds := v.journal.deeds(f)
	if len(deeds) == 0 {
		return v.explainUnopened(f)
	}
	last := deeds[len(deeds)-1]
	switch last.what {
	case deedClose:
		return v.explainClosed(f, deeds)
	case deedRefuse:
		return v.explainRefused(last)
	}
	if why, ok = v.ended(f, last); ok {
		return why, ok
	}
	if last.what != deedFreeze {
		return fmt.Sprintf("worker %d had it", last.pid), false
	}
	since := last.at
	if f.by == last.pid {
		since = max(since, f.answered) // it had not left yet
	}
	return v.explainUnseen(f, since)
}

// ended: its holder died, or ended with the master.
func (v *evidence) ended(f failure, last deed) (why string, ok bool) {
	if d, dead := v.deaths[last.pid]; dead && f.at >= d.at && f.at <= d.at+limit {
		return d.how, true
	}
	if v.cut != 0 && f.at >= v.cut {
		return "cut when the master ended", true
	}
	return "", false
}

// explainUnopened: no worker has opened it. One that the master has not accepted
// when its listeners close is reset; that it closes one which it has accepted is
// in order only for one of too many.
func (v *evidence) explainUnopened(f failure) (why string, ok bool) {
	reset := errors.Is(f.err, unix.ECONNRESET) || errors.Is(f.err, unix.EPIPE)
	switch {
	case v.cut != 0 && f.at >= v.cut:
		return "cut when the master ended", true
	case v.limited && f.greedy:
		return "refused, as one of too many", true
	case v.told != 0 && f.at >= v.told && (reset || !f.peer.IsValid()):
		return "not accepted when the master was told to stop", true
	case !f.peer.IsValid():
		return "it could not connect", false
	}
	return v.explainUnseen(f, f.begun)
}

// explainUnseen: it was on its way between two processes since then.
func (v *evidence) explainUnseen(f failure, since time.Duration) (why string, ok bool) {
	for _, d := range v.deaths {
		if d.at >= since && d.at <= f.at {
			return d.how + " with what it had just received", true
		}
	}
	return "on its way, and nobody died", false
}

// explainClosed: its worker has closed it, which is in order only at the end of
// the master, and when it could not be restored.
func (v *evidence) explainClosed(f failure, deeds []deed) (why string, ok bool) {
	last := deeds[len(deeds)-1]
	if len(deeds) > 1 && deeds[len(deeds)-2].what == deedRefuse {
		return v.explainRefused(deeds[len(deeds)-2])
	}
	byOrder := last.reason == worker.ErrStopped.Error() || last.reason == worker.ErrDrained.Error()
	if v.cut != 0 && f.at >= v.cut && byOrder {
		return "cut when the master ended", true
	}
	return fmt.Sprintf("worker %d closed it: %q", last.pid, last.reason), false
}

func (v *evidence) explainRefused(last deed) (why string, ok bool) {
	if last.program == programForgets {
		return "not restored by the broken program", true
	}
	return fmt.Sprintf("worker %d, of the program %s, could not restore it: %s", last.pid, last.program, last.reason), false
}
