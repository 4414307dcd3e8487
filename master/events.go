package master

import (
	"fmt"

	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/listen"
)

// handle acts on one message to the supervisor: a request, an event of a worker's
// process or of the accept goroutine, or what it has put off itself.
func (s *supervisor) handle(message any) {
	if s.request(message) {
		return
	}
	switch m := message.(type) {
	case postponed:
		m()
	case alarmRang:
		s.alarmRang(m)
	case configRead:
		m.reload.limit.Reset(readLimit + listen.ResolveLimit)
	case reloadPlanned:
		s.reloadPlanned(m)
	case logsReopened:
		s.logsReopened(m)
	case signalled:
		s.signalled(m)
	case contextDone:
		s.stop(stopGraceful)
	case upgradeOverdue:
		s.upgradeOverdue(m)
	case upgradeTested:
		s.upgradeTested(m)
	case controlPaused:
		s.controlPaused(m)
	case child.Event:
		s.heardOf(m)
	case dispatch.QueueBroken:
		if slot := s.slotOfWorker(m.Worker); slot != nil {
			s.kill(slot, m.Err.Error())
		}
	case dispatch.QueueIdle:
		s.queueIdle(m)
	case dispatch.Landed:
		s.landed(m)
	case dispatch.MoveDone:
		s.moveDone(m)
	case dispatch.Arrived:
		s.arrived()
	case dispatch.GuardTripped:
		s.guardTripped(m)
	case dispatch.QueueGone:
		s.queueGone(m)
	case dispatch.BatchEmpty: // what it was asked for is tried again by reconcile, which follows any event
	default:
		panic(fmt.Sprintf("the supervisor was sent a %T", m))
	}
}
