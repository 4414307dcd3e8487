package master

// State is where a slot's worker is in its life.
//
//	         start            ready            drain
//	gone ──────────► starting ──────► ready ──────────► draining
//	 ▲                  │   └───────────│── drain ──────►  │
//	 └──────────────────┴─────── exit ──┴──────────────────┘
type State int

const (
	StateGone     State = iota // no process: not yet, no longer, or waiting to be started again
	StateStarting              // started, not ready
	StateReady                 // takes connections
	StateDraining              // takes no more, and is to end
)

func (s State) String() string {
	return [...]string{"gone", "starting", "ready", "draining"}[s]
}

// happening is what can change a State.
type happening int

const (
	workerStarted happening = iota
	workerReady
	workerDraining // it was told to finish, or to stop, or began by itself
	workerExited
)

func (h happening) String() string {
	return [...]string{"started", "ready", "draining", "exited"}[h]
}

// next returns the state after h. ok is false if h cannot happen in s, which
// then stays: a worker said something at the wrong time, or the master has a bug.
func (s State) next(h happening) (next State, ok bool) {
	switch {
	case s == StateGone && h == workerStarted:
		return StateStarting, true
	case s == StateStarting && h == workerReady:
		return StateReady, true
	case (s == StateStarting || s == StateReady) && h == workerDraining:
		return StateDraining, true
	case s != StateGone && h == workerExited:
		return StateGone, true
	}
	return s, false
}
