package master

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// alarm is the time limit of a slot's life as it is now; a slot has one at most. It is a
// value and not a function, so that an upgrade can hand it over.
type alarm struct {
	kind  alarmKind
	due   time.Time
	timer *time.Timer
}

// alarmKind is what is to happen when the time has come.
type alarmKind int

const (
	alarmBoot    alarmKind = iota + 1 // the worker was to be ready by now
	alarmRespawn                      // the next incarnation is to start
	alarmDrained                      // the worker was to be gone by now: end it
	alarmEnded                        // it was told to exit: kill it
	alarmAborted                      // it was aborted: kill it
)

// setAlarm has an alarm ring on the supervisor's goroutine after d, instead of the one that
// was set, unless it is cleared before.
func (s *supervisor) setAlarm(slot *slot, kind alarmKind, d time.Duration) {
	slot.clearAlarm()
	a := &alarm{kind: kind, due: time.Now().Add(d)}
	a.timer = time.AfterFunc(d, func() { s.inbox.Put(alarmRang{slot, a}) })
	slot.alarm = a
}

// alarmRang: the time has come, unless the alarm was cleared meanwhile.
type alarmRang struct {
	slot  *slot
	alarm *alarm
}

func (s *supervisor) alarmRang(e alarmRang) {
	slot := e.slot
	if slot.alarm != e.alarm {
		return
	}
	slot.alarm = nil
	switch e.alarm.kind {
	case alarmBoot:
		s.kill(slot, fmt.Sprintf("not ready within %v (boot-timeout): a worker of usher has to say that it is", slot.config.BootTimeout))
	case alarmRespawn:
		s.startWorker(slot)
	case alarmDrained:
		_, workers := s.dispatch.Snapshot()
		s.log.Warn("drain deadline, ending the worker", "slot", slot.number, "pid", slot.pid(), "conns", workers[slot.number].Active, "reason", slot.why)
		s.end(slot, slot.why)
	case alarmEnded:
		s.kill(slot, fmt.Sprintf("did not exit within %v of being told to stop", stopGrace))
	case alarmAborted:
		s.processes.signal(slot.pid(), unix.SIGKILL)
	}
}

// clearAlarm stops the slot's alarm.
func (s *slot) clearAlarm() {
	if s.alarm != nil {
		s.alarm.timer.Stop()
		s.alarm = nil
	}
}
