package master

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/ipc"
)

// moving is a request to move connections from one worker to others.
type moving struct {
	from, to int // slots; to may be nobody in particular
	count    int
	done     chan movingDone // has room for one

	start    uint64 // what the worker had given back before
	last     uint64 // at the last look
	patience int    // looks left without progress
}

type movingDone struct {
	moved int
	err   error
}

const (
	movingLook     = 5 * time.Millisecond
	movingPatience = 100 // looks: half a second without a connection that leaves
)

// move begins to move connections, and answers when so many have left, or no
// more do.
func (s *supervisor) move(m *moving) {
	if err := s.movePossible(m); err != nil {
		m.done <- movingDone{err: err}
		return
	}
	_, tallies, _ := s.dispatch.snapshot()
	m.start = tallies[m.from].back
	m.last, m.patience = m.start, movingPatience
	s.dispatch.steer(m.from, m.to)
	s.tell(s.slots[m.from], ipc.Move{Count: min(m.count, tallies[m.from].active())})
	s.lookAtMove(m)
}

// movePossible says why not, if not.
func (s *supervisor) movePossible(m *moving) error {
	ready := func(number int) bool {
		if number < 0 || number >= len(s.slots) || s.slots[number] == nil {
			return false
		}
		slot := s.slots[number]
		return slot.state == StateReady && slot.seated && slot.ready.Moves
	}
	switch {
	case !ready(m.from):
		return fmt.Errorf("slot %d has no ready worker that can move connections; see usher status", m.from)
	case m.to == m.from:
		return fmt.Errorf("from and to are both slot %d", m.to)
	case m.to != nobody && !ready(m.to):
		return fmt.Errorf("slot %d has no ready worker that can take moved connections; see usher status", m.to)
	}
	for number := range s.slots {
		if number != m.from && ready(number) {
			return nil
		}
	}
	return fmt.Errorf("there is no other ready worker to move connections to")
}

func (s *supervisor) lookAtMove(m *moving) {
	_, tallies, _ := s.dispatch.snapshot()
	back := max(m.last, tallies[m.from].back) // less only if the worker is gone
	if m.patience--; back > m.last {
		m.last, m.patience = back, movingPatience
	}
	moved := int(m.last - m.start)
	if moved >= m.count || tallies[m.from].active() == 0 || m.patience == 0 {
		s.dispatch.steer(m.from, nobody)
		m.done <- movingDone{moved: moved}
		return
	}
	time.AfterFunc(movingLook, func() { s.inbox.put(func() { s.lookAtMove(m) }) })
}

// rebalancePerLook bounds how many connections each worker is asked to give at a
// time, so that moving takes a small part of its time.
const rebalancePerLook = 2000

// rebalance asks the fullest workers for what they have above the mean. Whoever
// has least gets it.
func (s *supervisor) rebalance() {
	if !s.config.Rebalance || s.reload != nil || s.stopping != stopNot {
		return
	}
	loads := s.dispatch.loads()
	var movable []*slot
	total := 0
	for _, slot := range s.staff(s.generation) {
		if _, open := loads[slot.number]; open && slot.ready.Moves {
			movable = append(movable, slot)
			total += loads[slot.number]
		}
	}
	if len(movable) < 2 {
		return
	}
	fair := (total + len(movable) - 1) / len(movable)
	for _, slot := range movable {
		if excess := loads[slot.number] - fair; excess > 0 {
			s.log.Debug("rebalancing", "slot", slot.number, "count", excess)
			s.tell(slot, ipc.Move{Count: min(excess, rebalancePerLook)})
		}
	}
}
