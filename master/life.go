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

// turn is what can change a life.
type turn int

const (
	turnStarted  turn = iota // the process runs
	turnReady                // the worker says that it is ready
	turnOpened               // its generation serves: the accept goroutine has its queue
	turnAsked                // it is to leave once a successor is ready
	turnSpared               // it need not after all
	turnMove                 // it is to leave, or leaves already, and there is somewhere for its connections to go
	turnPark                 // it is to leave, and its connections have nowhere to go yet
	turnFinish               // it is to leave, and its connections have to finish by themselves
	turnEnd                  // it is to exit now
	turnGaveAll              // the worker says that it gives nothing back any more, for now or for good
	turnLanded               // what it gave back is nowhere on the way
	turnReleased             // nothing is sent back to it any more
	turnRecall               // there is nowhere to go, or the new program cannot restore what moves
	turnFailed               // it is killed
	turnExited               // its process is reaped, or could not be started
)

func (t turn) String() string {
	return [...]string{"started", "ready", "opened", "asked", "spared", "move", "park", "finish", "end",
		"gave all", "landed", "released", "recall", "failed", "exited"}[t]
}

// next returns the life after t. ok is false if t cannot happen in l, which then
// stays: a worker said something at the wrong time, or what was to be done is
// done, or beside the point.
func (l life) next(t turn) (next life, ok bool) {
	next, ok = lifeTable[l][t]
	if !ok {
		return l, false
	}
	return next, true
}

var lifeTable = [lifeRemoved + 1]map[turn]life{
	lifeGone:     {turnStarted: lifeStarting, turnEnd: lifeRemoved, turnExited: lifeGone},
	lifeStarting: {turnReady: lifeWaiting, turnEnd: lifeCut, turnFailed: lifeKilled, turnExited: lifeGone},
	lifeWaiting:  {turnOpened: lifeServing, turnEnd: lifeCut, turnFailed: lifeKilled, turnExited: lifeGone},
	lifeServing: {turnAsked: lifeAsked, turnMove: lifeMoving, turnPark: lifeParked, turnFinish: lifeFinishing, turnEnd: lifeCut,
		turnFailed: lifeKilled, turnExited: lifeGone},
	lifeAsked: {turnSpared: lifeServing, turnMove: lifeMoving, turnPark: lifeParked, turnFinish: lifeFinishing, turnEnd: lifeCut,
		turnFailed: lifeCut, turnExited: lifeRemoved},
	lifeKilled: {turnEnd: lifeCut, turnExited: lifeGone},

	lifeMoving:    {turnGaveAll: lifeHolding, turnRecall: lifeRecalled, turnEnd: lifeCut, turnFailed: lifeCut, turnExited: lifeRemoved},
	lifeHolding:   {turnLanded: lifeLanded, turnRecall: lifeRecalled, turnEnd: lifeCut, turnFailed: lifeCut, turnExited: lifeRemoved},
	lifeLanded:    {turnReleased: lifeEmptying, turnRecall: lifeRecalled, turnEnd: lifeCut, turnFailed: lifeCut, turnExited: lifeRemoved},
	lifeEmptying:  {turnRecall: lifeRecalled, turnEnd: lifeCut, turnFailed: lifeCut, turnExited: lifeRemoved},
	lifeRecalled:  {turnGaveAll: lifeReturning, turnEnd: lifeCut, turnFailed: lifeCut, turnExited: lifeRemoved},
	lifeReturning: {turnLanded: lifeParked, turnEnd: lifeCut, turnFailed: lifeCut, turnExited: lifeRemoved},
	lifeParked:    {turnMove: lifeMoving, turnFinish: lifeFinishing, turnEnd: lifeCut, turnFailed: lifeCut, turnExited: lifeRemoved},
	lifeFinishing: {turnMove: lifeMoving, turnEnd: lifeCut, turnFailed: lifeCut, turnExited: lifeRemoved},
	lifeCut:       {turnExited: lifeRemoved},
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
