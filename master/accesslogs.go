package master

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
)

// accessLogs are the access logs in use: that of the configuration in force, and that of the
// one that a reload is starting workers for. They belong to the supervisor's goroutine. The
// zero value has none.
//
//	hello names the format ──► ready can ──► access-log brings the file ──► access-log-taken
//	                                            ▲
//	          reopened, or changed by a reload ─┘
type accessLogs struct {
	open    []*accessLog // owned
	last    uint64       // the id of the last message
	waiting []accessWait
}

// accessWait is a client who waits until no worker writes to a file that was reopened.
type accessWait struct {
	done  chan<- logsAnswer
	said  logsAnswer
	limit *time.Timer
}

// accessTakenLimit is how long workers have to take a file that was reopened. They give the
// one before up to a second, to write what waits.
const accessTakenLimit = 2 * time.Second

// use takes note of a configuration's log, which may be nil, and takes ownership of it.
func (a *accessLogs) use(log *accessLog) {
	if log != nil && !slices.Contains(a.open, log) {
		a.open = append(a.open, log)
	}
}

// accessOf returns the log that a slot's worker is to write, or nil: that of the
// configuration in force, unless it is of the generation that a reload is starting.
func (s *supervisor) accessOf(slot *slot) *accessLog {
	if slot.generation == s.newest() {
		return s.newestConfig().access
	}
	return s.config.access
}

// forgetAccessLogs closes the logs of configurations that are in use no more.
func (s *supervisor) forgetAccessLogs() {
	s.access.open = slices.DeleteFunc(s.access.open, func(log *accessLog) bool {
		if log == s.config.access || log == s.newestConfig().access {
			return false
		}
		log.close()
		return true
	})
}

func (a *accessLogs) close() {
	for _, log := range a.open {
		log.close()
	}
	a.open = nil
}

// switchAccessLog has workers of earlier generations go on with the log of the configuration
// that is in force now, if it is another.
func (s *supervisor) switchAccessLog(before *accessLog) {
	if before == s.config.access {
		return
	}
	for slot := range s.slots.all() {
		slot.accessDue = slot.accessDue || slot.process != nil && slot.generation < s.generation
	}
	s.giveAccessLogs()
}

// accessReady is called when a slot's worker is ready: it may be told of the log now.
func (s *supervisor) accessReady(slot *slot) {
	log := s.accessOf(slot)
	switch {
	case slot.ready.AccessLog:
		slot.accessDue = slot.accessDue || log != nil
	case log != nil:
		s.log.Warn("access log has no line of a worker's that does not write one", "slot", slot.number, "pid", slot.pid())
	}
	s.giveAccessLogs()
}

// giveAccessLogs tells workers of their log, where it has changed since they were told. What
// is not possible now is tried again at the next sample.
func (s *supervisor) giveAccessLogs() {
	for slot := range s.slots.all() {
		if !slot.accessDue || !slot.ready.AccessLog || slot.process == nil {
			continue
		}
		log := s.accessOf(slot)
		s.access.last++
		err := slot.process.TellAccessLog(ipc.AccessLog{ID: s.access.last, Format: log.formatName()}, log.fd())
		slot.accessDue = errors.Is(err, fdpass.ErrTooManyRefs)
		if !slot.accessDue {
			slot.accessAsked = s.access.last
			s.told(slot, err)
		}
	}
}

// accessTaken handles a worker's answer.
func (s *supervisor) accessTaken(slot *slot, m ipc.AccessLogTaken) {
	if m.ID == slot.accessAsked { // else it was told of another since
		slot.accessAsked = 0
	}
}

// accessReopened has workers go on with files that were opened anew, by their logs.
func (s *supervisor) accessReopened(files map[*accessLog]*os.File) {
	for log, file := range files {
		if !slices.Contains(s.access.open, log) {
			_ = file.Close() // it was forgotten meanwhile
			continue
		}
		log.close()
		log.file = file
		for slot := range s.slots.all() {
			slot.accessDue = slot.accessDue || slot.process != nil && s.accessOf(slot) == log
		}
	}
	s.giveAccessLogs()
}

// awaitAccess answers a client once all workers have taken what they were told, or after
// accessTakenLimit.
func (s *supervisor) awaitAccess(done chan<- logsAnswer, said logsAnswer) {
	w := accessWait{done: done, said: said}
	w.limit = s.after(accessTakenLimit, func() {
		slots := s.accessPending()
		s.answerAccess(func(other accessWait) bool { return other.done == done },
			fmt.Errorf("access log: the workers of slots %v have not answered within %v, and may still write to the old file", slots, accessTakenLimit))
	})
	s.access.waiting = append(s.access.waiting, w)
}

// proceedAccess answers the clients that need not wait any more.
func (s *supervisor) proceedAccess() {
	if len(s.access.waiting) > 0 && len(s.accessPending()) == 0 {
		s.answerAccess(func(accessWait) bool { return true }, nil)
	}
}

// answerAccess answers some of the clients that wait. Their channels have room.
func (s *supervisor) answerAccess(which func(accessWait) bool, err error) {
	s.access.waiting = slices.DeleteFunc(s.access.waiting, func(w accessWait) bool {
		if !which(w) {
			return false
		}
		w.limit.Stop()
		w.said.err = errors.Join(w.said.err, err)
		w.done <- w.said
		return true
	})
}

// accessPending returns the slots whose workers may not have the log that they are to have.
func (s *supervisor) accessPending() (slots []int) {
	for slot := range s.slots.all() {
		if slot.process != nil && slot.ready.AccessLog && (slot.accessDue || slot.accessAsked != 0) {
			slots = append(slots, slot.number)
		}
	}
	return slots
}
