package ipc

import "fmt"

// Stage is where a connection is on its way through master and workers, and so
// who owns it: exactly one, at any moment. This file is that rule and does no
// I/O. Whoever moves a connection asks it what an event leads to, and acts on
// the answer.
//
//	 backlog
//	    │ accept
//	    ▼         send              receive            open
//	┌──────┐ ───────────► ┌────────┐ ──────► ┌─────────┐ ──────► ┌─────────┐
//	│ held │              │ queued │         │ arrived │         │ serving │ ─close─► closed
//	└──────┘ ◄─────────── └────────┘         └─────────┘         └─────────┘
//	              take         ▲                  │ fail         freeze │ ▲
//	                           │                  ▼                     ▼ │ resume
//	                           │                 lost             ┌────────┐
//	                           └───────────── send ────────────── │ frozen │
//	                                                              └────────┘
//
// A packet that the kernel took is the point of ownership: send leads to
// queued, and nobody who sent keeps anything; a send that the kernel refused
// changes nothing.
type Stage uint8

// The stages of a connection.
const (
	StageBacklog Stage = iota // not accepted
	StageHeld                 // the master has it, in no queue
	StageQueued               // in a queue, in the kernel, whichever way it goes
	StageArrived              // a worker has received it, and its session is not open
	StageServing              // a worker's loop serves it
	StageFrozen               // out of the loop, packed, and still that worker's
	StageClosed               // its end, in order or for a counted reason
	StageLost                 // its end with a worker, by a failed thaw, or with the master
	stages
)

// Event is what happens to a connection.
type Event uint8

// The events of a connection.
const (
	EventAccept  Event = iota // the master accepts it
	EventSend                 // the kernel took the packet that it is in
	EventRefuse               // or did not: would block, or the other end is gone
	EventTake                 // the master takes it out of a queue, from either end
	EventReceive              // a worker takes it out of its queue
	EventOpen                 // its session is open, or thawed
	EventFail                 // a moved one could not be thawed
	EventFreeze               // it is taken out of the loop and packed
	EventResume               // what was frozen goes on where it was
	EventClose                // close(2)
	EventDie                  // its owner's process ends, or gives it up
	events
)

// Owner is who may close a connection's descriptor, and has to.
type Owner uint8

// The owners.
const (
	OwnerNone   Owner = iota // it has ended, or has not begun
	OwnerMaster              // the master's process
	OwnerKernel              // a queue: it outlives both its ends' processes
	OwnerWorker              // a worker's process
)

// journeys is the whole of the rule: what is not there cannot happen.
var journeys = [stages][events]Stage{
	StageBacklog: {EventAccept: StageHeld},
	StageHeld:    {EventSend: StageQueued, EventRefuse: StageHeld, EventClose: StageClosed, EventDie: StageLost},
	StageQueued:  {EventTake: StageHeld, EventReceive: StageArrived, EventDie: StageLost}, // EventDie: the last one who has the queue open
	StageArrived: {EventOpen: StageServing, EventFail: StageLost, EventClose: StageClosed, EventDie: StageLost},
	StageServing: {EventFreeze: StageFrozen, EventClose: StageClosed, EventDie: StageLost},
	StageFrozen:  {EventSend: StageQueued, EventRefuse: StageFrozen, EventResume: StageServing, EventDie: StageLost},
}

// Next returns the stage that an event leads to, and whether it can happen at
// all. No stage leads back to StageBacklog.
func (s Stage) Next(e Event) (Stage, bool) {
	if s >= stages || e >= events {
		return s, false
	}
	next := journeys[s][e]
	if next == StageBacklog {
		return s, false
	}
	return next, true
}

// Step goes on to the stage that an event leads to. One that cannot happen is a
// bug of the caller's, who would close what is another's, or keep it: Step
// panics before that.
func (s *Stage) Step(e Event) Stage {
	next, ok := s.Next(e)
	if !ok {
		panic(fmt.Sprintf("ipc: %v of a connection that is %v", e, *s))
	}
	*s = next
	return next
}

// Owner returns who owns a connection at this stage.
func (s Stage) Owner() Owner {
	switch s {
	case StageHeld:
		return OwnerMaster
	case StageQueued:
		return OwnerKernel
	case StageArrived, StageServing, StageFrozen:
		return OwnerWorker
	}
	return OwnerNone
}

// String returns the stage in a word, as the drawing has it.
func (s Stage) String() string {
	names := [stages]string{"in the backlog", "held", "queued", "arrived", "serving", "frozen", "closed", "lost"}
	if s >= stages {
		return fmt.Sprintf("stage %d", uint8(s))
	}
	return names[s]
}

// String returns the event in a word, as the drawing of Stage has it.
func (e Event) String() string {
	names := [events]string{"accept", "send", "refuse", "take", "receive", "open", "fail", "freeze", "resume", "close", "die"}
	if e >= events {
		return fmt.Sprintf("event %d", uint8(e))
	}
	return names[e]
}
