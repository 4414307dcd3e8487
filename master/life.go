package master

// shownState is what status shows of a slot: four words for the stages of its life.
type shownState int

const (
	stateGone     shownState = iota // no process: not yet, no longer, or waiting to be started again
	stateStarting                   // started, not ready
	stateReady                      // takes connections, or will once its generation serves
	stateDraining                   // takes no more, and is to end
)

func (s shownState) String() string {
	return [...]string{"gone", "starting", "ready", "draining"}[s]
}

// life is the state of a slot. There are no flags beside it: what the worker was told,
// which message of it is still to come, and whether it is replaced when it ends, all
// follow from it. lifeTable has every transition; this is a drawing of them:
//
//	gone ─started─► starting ─ready─► waiting ─opened─► serving ◄─spared/asked─► asked
//	 ▲                 │                 │                │ │                      │
//	 └──── exited ─────┴──── exited ─────┴──── exited ────┘ │                      │
//	 └──── exited ───── killed ◄───────── failed ───────────┘                      │
//	                                                                               │
//	The ways to drain, from serving and asked; each ends in removed:               ▼
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
	lifeGone     life = iota // no process; one is started when the slot's alarm rings
	lifeStarting             // started, and has not said that it is ready
	lifeWaiting              // ready; its generation does not serve yet
	lifeServing              // given connections
	lifeAsked                // given connections; drains when its successor is ready
	lifeKilled               // killed by the master, and to be started again once it is reaped

	lifeMoving    // told to give its connections back; it will say when it has given all that it can
	lifeHolding   // has said so; some that it gave are on their way, and may return to it
	lifeLanded    // none is on its way; until the reload is over some may still return
	lifeEmptying  // none returns any more: it ends when the rest has moved, or finished
	lifeRecalled  // told to give no more back; it will say when it gives nothing any more
	lifeReturning // has said so; some that it gave last are on their way, perhaps back to it
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
	eventAsked                     // it is to drain once a successor is ready
	eventSpared                    // it is not to drain after all
	eventMove                      // it is to drain, or drains already, and its connections have somewhere to go
	eventPark                      // it is to drain, and its connections have nowhere to go yet
	eventFinish                    // it is to drain, and its connections have to finish by themselves
	eventEnd                       // it is to exit now
	eventGaveAll                   // the worker says that it gives nothing back any more, for now or for good
	eventLanded                    // nothing that it gave back is on its way any more
	eventReleased                  // none of its connections returns to it any more
	eventRecall                    // there is nowhere to go, or the new program cannot restore what moves
	eventFailed                    // it is killed
	eventExited                    // its process is reaped, or could not be started
)

func (e lifeEvent) String() string {
	return [...]string{"started", "ready", "opened", "asked", "spared", "move", "park", "finish", "end",
		"gave all", "landed", "released", "recall", "failed", "exited"}[e]
}

// next returns the life after an event. ok is false, and the life is l still, if the
// event means nothing in l: a worker said something at the wrong time, or what was to be
// done is done already.
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
func (l life) state() shownState {
	switch {
	case l == lifeGone || l == lifeRemoved:
		return stateGone
	case l == lifeStarting:
		return stateStarting
	case l == lifeWaiting || l.serves():
		return stateReady
	}
	return stateDraining
}

// serves reports whether the worker is given connections.
func (l life) serves() bool { return l == lifeServing || l == lifeAsked }

// stays reports whether the slot is one of those wanted: when its worker dies, another
// one is started in it.
func (l life) stays() bool { return l <= lifeKilled && l != lifeAsked }

// gives reports whether the worker was told to give its connections back, and not to
// stop that.
func (l life) gives() bool { return l >= lifeMoving && l <= lifeEmptying }

// lingers reports whether the worker drains, and has no more to give back for now: the
// connections that it still has may last.
func (l life) lingers() bool { return l > lifeMoving && l < lifeCut }

// hasGiven reports whether the worker drains, and has given back what it can, or is to
// give nothing back. One whose connections have nowhere to go yet is still to give.
func (l life) hasGiven() bool { return l == lifeLanded || l == lifeEmptying || l == lifeFinishing }
