package master

import (
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// slot is a worker's place, in which one incarnation follows another until the slot is
// removed. The supervisor alone touches it.
type slot struct {
	number     int
	generation int
	config     *Config   // of the generation
	life       life      // see life.go
	why        string    // why it drains, or ends, or is asked to; empty: it is not
	until      time.Time // when it is to be gone, drainGrace included; zero: it does not drain, or has no deadline
	restarts   int       // incarnations after the first

	// Of the present incarnation:
	incarnation int             // counts them: an event that names an earlier one comes late
	process     process         // nil: there is none
	queueOpen   bool            // the accept goroutine has its queue
	board       *ipc.Scoreboard // owned, this incarnation's alone; nil without a process
	further     ipc.Place       // in it: the further counters; zero: an older program has made it
	own         ownSeries       // what its program measures
	ready       ipc.Ready
	readyAt     time.Time
	order       *moveOrder // outstanding, while it serves; nil: none is
	killed      string     // why the supervisor ended it; empty: it did not
	hang        hangDetector
	rate        acceptRate
	recycleAt   recycleLimits
	accessDue   bool   // it is to be told of another access log than it has, if it writes one
	accessAsked uint64 // the id of the last access-log, which it has not answered; 0: it has
	keysDue     bool   // it is to be told other ticket keys than its hello had, if it does TLS

	lastExit  string // how the incarnation before ended, and why; empty: there was none
	endedBy   string // the same, as restarts are counted: see restartReasons
	deaths    int    // of young workers in a row
	accidents int    // times in a row that a signal meant for others ended it before it was ready
	alarm     *alarm // the time limit of its life; nil: there is none
}

// step takes the slot to its next life, and reports whether there is one.
func (s *slot) step(e lifeEvent) bool {
	next, ok := s.life.next(e)
	s.life = next
	return ok
}

func (s *slot) pid() int {
	if s.process == nil {
		return 0
	}
	return s.process.PID()
}

// worker says which worker is in the slot. Only while there is a process.
func (s *slot) worker() dispatch.Worker {
	return dispatch.Worker{Slot: s.number, Generation: s.generation, Incarnation: s.incarnation, PID: s.process.PID()}
}

// id names the slot's present process, for its events.
func (s *slot) id() child.ID {
	return child.ID{Slot: s.number, Generation: s.generation, Incarnation: s.incarnation}
}

// entry is the worker's part of its scoreboard. Only while there is a process.
func (s *slot) entry() *ipc.Entry { return s.board.Entry(s.number) }

// memory is all of the scoreboard that is the worker's. Likewise.
func (s *slot) memory() dispatch.Memory { return memoryIn(s.board, s.number, s.further) }

// memoryIn returns what is a slot's in a board, whose further counters are at a place that
// is in it, or nowhere.
func memoryIn(board *ipc.Scoreboard, slot int, place ipc.Place) dispatch.Memory {
	further, _ := board.Further(place) // whoever made or took over the board has seen that it is there
	return dispatch.Memory{Entry: board.Entry(slot), Further: further}
}

// kept reports whether the worker drains without a deadline: its connections last as long
// as they like, or until there is somewhere for them to go.
func (s *slot) kept() bool {
	return s.life >= lifeRecalled && s.life <= lifeFinishing && s.until.IsZero()
}

// remaining is how long the worker's connections still have, in milliseconds for
// ipc.Drain: at least 1, or 0 if there is no deadline.
func (s *slot) remaining() int64 {
	if s.until.IsZero() {
		return 0
	}
	return max(1, (time.Until(s.until) - drainGrace + time.Millisecond - 1).Milliseconds()) // not a moment less
}
