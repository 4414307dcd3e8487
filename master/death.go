package master

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/usher-go/usher/master/internal/child"
	"golang.org/x/sys/unix"
)

// ErrWorkersWouldNotStart: no worker got ready at the first start. The error
// that wraps it carries the last lines on a worker's standard error.
var ErrWorkersWouldNotStart = errors.New("the workers would not start")

// death is the end of a worker, as an error.
type death struct {
	slot, pid  int
	how        string // exit status or signal
	killed     string // why the master killed it, or empty
	stderrTail string // its last lines on standard error
}

// reason says how and why in a few words.
func (d death) reason() string {
	if d.killed == "" {
		return d.how
	}
	return d.how + ": " + d.killed
}

func (d death) Error() string {
	end := "ended with " + d.how
	if d.killed != "" {
		end = "was killed: " + d.killed
	}
	words := "it wrote nothing to standard error"
	if d.stderrTail != "" {
		words = "its last words:\n" + d.stderrTail
	}
	return fmt.Sprintf("worker %d (pid %d) %s; %s", d.slot, d.pid, end, words)
}

// exited handles the end of a worker process.
func (s *supervisor) exited(slot *slot, status unix.WaitStatus) {
	process := slot.process
	before := slot.life
	s.dropOrder(slot, "its worker died")
	if slot.queueOpen {
		s.dispatch.Reaped(slot.number)
	} else {
		dropQueue(process.Queue())
	}
	process.HangUp()
	slot.process = nil
	s.closeBoard(slot)
	s.step(slot, eventExited)
	slot.clearAlarm()
	asked := before.state() == stateDraining && before != lifeKilled
	how := child.Reason(status)
	if status.Exited() && status.ExitStatus() == 0 && !asked && process.LeftOthers() {
		how += ", while a process that it started goes on: a worker has to stay in the foreground"
	} else if status.Exited() && status.ExitStatus() == 0 && before == lifeStarting {
		how += ", before it was ready: a worker of usher has to say that it is, and to stay"
	}
	err := death{slot.number, process.PID(), how, slot.killed, process.StderrTail()}
	slot.lastExit, slot.endedBy = err.reason(), restartReason(slot.killed, status)
	if asked && status.Exited() && status.ExitStatus() == 0 {
		s.log.Info("worker gone", "slot", slot.number, "generation", slot.generation, "pid", process.PID())
	} else {
		fields := []any{"slot", slot.number, "generation", slot.generation, "pid", process.PID(), "reason", err.reason()}
		if err.stderrTail != "" {
			fields = append(fields, "last_words", err.stderrTail)
		}
		s.log.Warn("worker died", fields...)
	}
	if before == lifeStarting && s.byAccident(slot, status) {
		s.startWorker(slot)
		return
	}
	if !slot.queueOpen && slot.life != lifeRemoved { // it ended before it served
		s.failScaling(err)
	}
	s.died(slot, err)
}

// maxAccidents is how often in a row a worker is started again at once that was
// ended before it was ready by a signal that was meant for others.
const maxAccidents = 3

// byAccident reports whether a worker was ended by a signal that it would have
// ignored, had it come to that: killall sends them to everyone.
func (s *supervisor) byAccident(slot *slot, status unix.WaitStatus) bool {
	if !status.Signaled() || slot.accidents >= maxAccidents {
		return false
	}
	switch status.Signal() {
	case unix.SIGHUP, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2:
		slot.accidents++
		return true
	}
	return false
}

// died decides what follows the end of a worker, or a start that has failed.
func (s *supervisor) died(slot *slot, err error) {
	if s.stopping != stopNot {
		s.step(slot, eventEnd) // nobody takes its place
	}
	if slot.life == lifeRemoved {
		s.slots.remove(slot)
		return
	}
	slot.deaths++
	switch {
	case s.reload.starting() && slot.generation == s.reload.generation:
		s.abortReload(err)
	case !s.booted:
		s.bootError = err
	default:
		s.respawn(slot)
	}
}

// respawn starts the slot's next incarnation: at once after the first death,
// later ever more slowly.
func (s *supervisor) respawn(slot *slot) {
	if !slot.readyAt.IsZero() && time.Since(slot.readyAt) >= healthyAfter {
		slot.deaths = 1
	}
	slot.restarts++
	s.restartsBy.count(slot.endedBy)
	s.startLater(slot, respawnDelay(slot.deaths, rand.Float64()))
}

// startLater starts the slot's worker after a delay, by an alarm. It does so even if the
// delay is 0: died calls it for a start that has failed, and must not start the next
// one from within.
func (s *supervisor) startLater(slot *slot, delay time.Duration) {
	if delay > 0 {
		s.log.Warn("worker restarts later", "slot", slot.number, "after", delay.Round(time.Millisecond))
	}
	s.setAlarm(slot, alarmRespawn, delay)
}
