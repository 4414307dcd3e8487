package master

// State is what status shows of a slot: four words for the stages of its life.
type State int

const (
	StateGone     State = iota // no process: not yet, no longer, or waiting to be started again
	StateStarting              // started, not ready
	StateReady                 // takes connections, or will once its generation serves
	StateDraining              // takes no more, and is to end
)

func (s State) String() string {
	return [...]string{"gone", "starting", "ready", "draining"}[s]
}

// life is where a slot is in its life. There is nothing beside it: what a worker
// was told, what it still has to say, and whether it is replaced when it ends,
// all follow from it.
//
//	gone ─started─► starting ─ready─► waiting ─opened─► serving ◄─spared/asked─► asked
//	 ▲                 │                 │                │ │                      │
//	 └──── exited ─────┴──── exited ─────┴──── exited ────┘ │                      │
//	 └──── exited ───── killed ◄───────── failed ───────────┘                      │
//	                                                                               │
//	The ways of leaving, from serving and asked; each ends in removed:             ▼
//
//	move:   moving ──gave all──► holding ──landed──► landed ──released──► emptying
//	          ▲ │                   │                   │                    │
//	          │ └─────── recall ────┴───────────────────┴────────────────────┘
//	          │              ▼
//	          │          recalled ──gave all──► returning ──landed──► parked
//	          └────────────────── move ──────────────────────────────┘ │ ▲
//	park:   parked                                                     │ └─ park
//	finish: finishing ◄────────────────────── finish ──────────────────┘
//	end:    cut, from everywhere: told to exit, or killed
type life int

const (
	lifeGone     life = iota // no process; it is started when its alarm rings
	lifeStarting             // started, and has not said that it is ready
	lifeWaiting              // ready; its generation does not serve yet
	lifeServing              // given connections
	lifeAsked                // the same; leaves when its successor is ready
	lifeKilled               // killed by the master, and to be started again once it is reaped

	lifeMoving    // told to give its connections back; it will say when it has given all that it can
	lifeHolding   // has said so; some of what it gave is on its way, and could come back
	lifeLanded    // nothing of that is on its way; what moved could still be sent back, until the reload is over
	lifeEmptying  // nothing comes back any more: it ends when the rest has moved, or finished
	lifeRecalled  // told to give no more back; it will say when it gives nothing any more
	lifeReturning // has said so; what it gave last is on its way, perhaps back to it
	lifeParked    // there is nowhere for its connections to go yet: it serves them, and is told when there is
	lifeFinishing // lets its connections finish by themselves
	lifeCut       // told to exit at once, or killed

	lifeRemoved // the slot is no more
)

func (l life) String() string {
	return [...]string{"gone", "starting", "waiting", "serving", "asked", "killed",
		"moving", "holding", "landed", "emptying", "recalled", "returning", "parked", "finishing", "cut", "removed"}[l]
}

// lifeEvent is what can change a life.
type lifeEvent int

const (
	eventStarted  lifeEvent = iota // the process runs
	eventReady                     // the worker says that it is ready
	eventOpened                    // its generation serves: the accept goroutine has its queue
	eventAsked                     // it is to leave once a successor is ready
	eventSpared                    // it need not after all
	eventMove                      // it is to leave, or leaves already, and there is somewhere for its connections to go
	eventPark                      // it is to leave, and its connections have nowhere to go yet
	eventFinish                    // it is to leave, and its connections have to finish by themselves
	eventEnd                       // it is to exit now
	eventGaveAll                   // the worker says that it gives nothing back any more, for now or for good
	eventLanded                    // what it gave back is nowhere on the way
	eventReleased                  // nothing is sent back to it any more
	eventRecall                    // there is nowhere to go, or the new program cannot restore what moves
	eventFailed                    // it is killed
	eventExited                    // its process is reaped, or could not be started
)

func (e lifeEvent) String() string {
	return [...]string{"started", "ready", "opened", "asked", "spared", "move", "park", "finish", "end",
		"gave all", "landed", "released", "recall", "failed", "exited"}[e]
}

// next returns the life after an event. ok is false if that cannot happen in l, which then
// stays: a worker said something at the wrong time, or what was to be done is
// done, or beside the point.
func (l life) next(e lifeEvent) (next life, ok bool) {
	next, ok = lifeTable[l][e]
	if !ok {
		return l, false
	}
	return next, true
}

var lifeTable = [lifeRemoved + 1]map[lifeEvent]life{
	lifeGone:     {eventStarted: lifeStarting, eventEnd: lifeRemoved, eventExited: lifeGone},
	lifeStarting: {eventReady: lifeWaiting, eventEnd: lifeCut, eventFailed: lifeKilled, eventExited: lifeGone},
	lifeWaiting:  {eventOpened: lifeServing, eventEnd: lifeCut, eventFailed: lifeKilled, eventExited: lifeGone},
	lifeServing: {eventAsked: lifeAsked, eventMove: lifeMoving, eventPark: lifeParked, eventFinish: lifeFinishing, eventEnd: lifeCut,
		eventFailed: lifeKilled, eventExited: lifeGone},
	lifeAsked: {eventSpared: lifeServing, eventMove: lifeMoving, eventPark: lifeParked, eventFinish: lifeFinishing, eventEnd: lifeCut,
		eventFailed: lifeCut, eventExited: lifeRemoved},
	lifeKilled: {eventEnd: lifeCut, eventExited: lifeGone},

	lifeMoving:    {eventGaveAll: lifeHolding, eventRecall: lifeRecalled, eventEnd: lifeCut, eventFailed: lifeCut, eventExited: lifeRemoved},
	lifeHolding:   {eventLanded: lifeLanded, eventRecall: lifeRecalled, eventEnd: lifeCut, eventFailed: lifeCut, eventExited: lifeRemoved},
	lifeLanded:    {eventReleased: lifeEmptying, eventRecall: lifeRecalled, eventEnd: lifeCut, eventFailed: lifeCut, eventExited: lifeRemoved},
	lifeEmptying:  {eventRecall: lifeRecalled, eventEnd: lifeCut, eventFailed: lifeCut, eventExited: lifeRemoved},
	lifeRecalled:  {eventGaveAll: lifeReturning, eventEnd: lifeCut, eventFailed: lifeCut, eventExited: lifeRemoved},
	lifeReturning: {eventLanded: lifeParked, eventEnd: lifeCut, eventFailed: lifeCut, eventExited: lifeRemoved},
	lifeParked:    {eventMove: lifeMoving, eventFinish: lifeFinishing, eventEnd: lifeCut, eventFailed: lifeCut, eventExited: lifeRemoved},
	lifeFinishing: {eventMove: lifeMoving, eventEnd: lifeCut, eventFailed: lifeCut, eventExited: lifeRemoved},
	lifeCut:       {eventExited: lifeRemoved},
	lifeRemoved:   {},
}

// state is how status shows a life.
func (l life) state() State {
	switch {
	case l == lifeGone || l == lifeRemoved:
		return StateGone
	case l == lifeStarting:
		return StateStarting
	case l == lifeWaiting || l.serves():
		return StateReady
	}
	return StateDraining
}

// serves reports whether the worker is given connections.
func (l life) serves() bool { return l == lifeServing || l == lifeAsked }

// stays reports whether the slot is one of those wanted: when its worker ends,
// another takes its place in it.
func (l life) stays() bool { return l <= lifeKilled && l != lifeAsked }

// gives reports whether the worker may give connections back, and was not told
// to stop that.
func (l life) gives() bool { return l >= lifeMoving && l <= lifeEmptying }

// lingers reports whether the worker leaves, and has no more to give for now:
// what it still has may take its time.
func (l life) lingers() bool { return l > lifeMoving && l < lifeCut }

// hasGiven reports whether the worker leaves and has given what it can, or is not
// to give anything. One that waits for somewhere to go is still to give.
func (l life) hasGiven() bool { return l == lifeLanded || l == lifeEmptying || l == lifeFinishing }
