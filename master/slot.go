package master

import (
	"time"

	"github.com/usher-go/usher/ipc"
)

// slot is a worker's seat as the supervisor sees it, which alone touches it.
type slot struct {
	number     int
	generation int
	config     *Config // of the generation
	state      State
	leaving    bool   // not to be replaced when its worker ends
	recycled   string // why its worker is to leave once a successor is ready; empty: it is not
	restarts   int    // incarnations after the first

	// Of the present incarnation:
	incarnation int // tells late events of an earlier one
	process     *process
	ready       ipc.Ready
	moving      bool   // it was told to give its connections back, and has not said that it has
	staying     int    // how many connections it said will finish where they are
	held        bool   // it was told to give its connections back, and waits for word that none comes back
	kept        bool   // it keeps what it has, without a deadline: a reload's moving has failed
	ending      bool   // it was told to exit at once
	seated      bool   // the accept goroutine has its queue
	killed      string // why the supervisor ended it; empty: it did not
	readyAt     time.Time
	pulse       pulse
	lease       lease

	deaths int    // young ones in a row
	alarm  *alarm // nil: the state waits for nothing
}

// change moves the slot to its next state, and reports whether it could.
func (s *slot) change(h happening) bool {
	next, ok := s.state.next(h)
	s.state = next
	return ok
}

func (s *slot) pid() int {
	if s.process == nil {
		return 0
	}
	return s.process.pid
}
