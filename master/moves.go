package master

import (
	"fmt"
	"slices"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// moveOrder has a worker that serves give some of its connections back. A worker has
// one at a time, so all that it gives back belongs to that order. The order is
// outstanding until the worker has answered, and what it gave back has gone to others.
type moveOrder struct {
	id      uint64
	request *moveRequest // nil: no client waits for it, or none does any more
	limit   *time.Timer
	before  dispatch.Totals // as the order was given
	closed  uint64          // how many connections the worker had closed then

	abandoned bool // the worker has not answered in its time, and nobody waits for it
	stranded  bool // the slot that was to get the connections serves no more
}

// moveRequest is a client's request to have connections moved.
type moveRequest struct {
	from, to int // slots; to may be dispatch.Nobody: whoever has fewest
	count    int
	done     chan moveAnswer // has room for one
	due      time.Time       // when it is answered, whatever has moved by then
}

// moveAnswer is what came of it.
type moveAnswer struct {
	departures       // Staying are those that the worker still has
	incomplete error // why more may move later than this was answered
	err        error
}

const (
	// moveLimit is how long the connections that a client asks for may take to leave.
	moveLimit = 10 * time.Second
	// cancelLimit is how long a worker may take to answer that it gives no more.
	cancelLimit = time.Second
)

// move takes a client's request, which is answered when so many connections have moved,
// or no more do. proceedMoves begins it.
func (s *supervisor) move(m *moveRequest) {
	if err := s.movePossible(m); err != nil {
		m.done <- moveAnswer{err: err}
		return
	}
	m.due = time.Now().Add(moveLimit)
	s.after(moveLimit, func() { s.expireMove(m) })
	s.moves = append(s.moves, m)
}

// expireMove answers a request that has not begun in its time.
func (s *supervisor) expireMove(m *moveRequest) {
	if i := slices.Index(s.moves, m); i >= 0 {
		s.moves = slices.Delete(s.moves, i, i+1)
		m.done <- moveAnswer{incomplete: fmt.Errorf("slot %d still gives connections back by an earlier request; nothing was moved", m.from)}
	}
}

// forgetMove drops a request whose client is gone. What has begun goes on.
func (s *supervisor) forgetMove(m *moveRequest) {
	s.moves = slices.DeleteFunc(s.moves, func(other *moveRequest) bool { return other == m })
}

// proceedMoves begins the requests whose turn it is.
func (s *supervisor) proceedMoves() {
	s.strandMoves()
	s.moves = slices.DeleteFunc(s.moves, func(m *moveRequest) bool {
		err := s.movePossible(m)
		switch {
		case err != nil:
			m.done <- moveAnswer{err: err}
		case s.slots[m.from].order == nil:
			s.beginMove(m)
		default:
			return false
		}
		return true
	})
}

// strandMoves ends the orders for a slot that no longer serves. What was given back for
// it until then goes to other workers, as the answer says.
func (s *supervisor) strandMoves() {
	for slot := range s.slots.all() {
		if slot.order == nil {
			continue
		}
		o := slot.order
		if m := o.request; m != nil && m.to != dispatch.Nobody && !o.stranded && !s.canMove(m.to) {
			o.stranded = true
			s.tell(slot, ipc.Move{ID: o.id})
		}
	}
}

// canMove reports whether a slot's worker serves, and can give and take moved
// connections.
func (s *supervisor) canMove(number int) bool {
	slot := s.slots.at(number)
	return slot != nil && slot.life.serves() && slot.ready.Moves
}

func (s *supervisor) beginMove(m *moveRequest) {
	_, workers := s.dispatch.Snapshot()
	count := min(m.count, workers[m.from].Active)
	if m.to != dispatch.Nobody {
		count = min(count, s.slots[m.to].capacity()-workers[m.to].Load())
	}
	if count <= 0 {
		m.done <- moveAnswer{departures: departures{Staying: uint64(workers[m.from].Active)}}
		return
	}
	fields := []any{"slot", m.from, "count", count}
	if m.to != dispatch.Nobody {
		fields = append(fields, "to", m.to)
	}
	s.log.Debug("moving", fields...)
	o := s.giveOrder(s.slots[m.from], m.to, count)
	o.request = m
	o.limit.Reset(time.Until(m.due))
}

// movePossible returns why a request cannot be met, or nil.
func (s *supervisor) movePossible(m *moveRequest) error {
	switch {
	case !s.canMove(m.from):
		return fmt.Errorf("slot %d has no ready worker that can move connections; see usher status", m.from)
	case m.to == m.from:
		return fmt.Errorf("from and to are both slot %d", m.to)
	case m.to != dispatch.Nobody && !s.canMove(m.to):
		return fmt.Errorf("slot %d has no ready worker that can take moved connections; see usher status", m.to)
	}
	if s.slots.some(func(slot *slot) bool { return slot.number != m.from && s.canMove(slot.number) }) {
		return nil
	}
	return fmt.Errorf("there is no other ready worker to move connections to; usher scale +1 starts one")
}

// giveOrder has a worker, which has no order outstanding, give so many connections back,
// for a slot or for dispatch.Nobody.
func (s *supervisor) giveOrder(slot *slot, to, count int) *moveOrder {
	s.lastMove++
	totals, workers := s.dispatch.Snapshot()
	o := &moveOrder{id: s.lastMove, before: totals, closed: workers[slot.number].Said.Closed}
	slot.order = o
	incarnation := slot.incarnation
	o.limit = s.after(moveLimit, func() {
		if slot.order == o && slot.incarnation == incarnation {
			s.cancelOrder(slot)
		}
	})
	s.dispatch.BeginMove(slot.number, o.id, to, count)
	s.tell(slot, ipc.Move{ID: o.id, Count: count})
	return o
}

// orderAnswered takes a worker's answer to an order. An answer without an id is to the
// outstanding one: the worker was built before orders had ids.
func (s *supervisor) orderAnswered(slot *slot, m ipc.Moved) {
	switch o := slot.order; {
	case o == nil || m.ID != 0 && m.ID != o.id: // the order was dropped meanwhile
	case m.ID == 0:
		s.dispatch.AnswerMove(slot.number, o.id, -1)
	default:
		s.dispatch.AnswerMove(slot.number, o.id, m.Count)
	}
}

func (s *supervisor) moveDone(e dispatch.MoveDone) {
	slot := s.slotOfWorker(e.Worker)
	if slot == nil || slot.order == nil || slot.order.id != e.Order {
		return
	}
	var incomplete error
	if o := slot.order; o.stranded && o.request != nil {
		incomplete = fmt.Errorf("slot %d has no ready worker any more; what had left for it by then may have gone to others", o.request.to)
	}
	s.answerMove(slot, e.Moved, incomplete)
	s.endOrder(slot)
}

// answerMove tells the client of a worker's order, if there is one, what came of
// it: so many have moved.
func (s *supervisor) answerMove(slot *slot, moved int, incomplete error) {
	o := slot.order
	if o.request == nil {
		return
	}
	totals, workers := s.dispatch.Snapshot()
	result := moveAnswer{departures: departures{Moved: uint64(moved), Lost: totals.Lost - o.before.Lost}, incomplete: incomplete}
	if now, ok := workers[slot.number]; ok { // else it is dead, and all that it had is gone with it
		result.Drained, result.Staying = now.Said.Closed-o.closed, uint64(max(0, now.Active))
	}
	s.log.Debug("moved", append([]any{"slot", slot.number}, result.fields()...)...)
	o.request.done <- result
	o.request = nil
}

func (s *supervisor) endOrder(slot *slot) {
	slot.order.limit.Stop()
	slot.order = nil
}

// cancelOrder has a worker give no more back for its order, which has taken too long.
// A worker that does not answer that either is waited for no longer; but its order
// stays outstanding, so that what it gives back late goes where it was to go.
func (s *supervisor) cancelOrder(slot *slot) {
	o := slot.order
	s.tell(slot, ipc.Move{ID: o.id})
	o.limit = s.after(cancelLimit, func() {
		if slot.order != o {
			return
		}
		o.abandoned = true
		if o.request != nil {
			s.answerMove(slot, s.dispatch.MovedSoFar(slot.number, o.id),
				fmt.Errorf("slot %d (pid %d) has not answered within %v; it is told to give no more back", slot.number, slot.pid(), moveLimit+cancelLimit))
		}
	})
}

// dropOrder ends the order of a worker that no longer serves, if it has one.
func (s *supervisor) dropOrder(slot *slot, why string) {
	if slot.order != nil {
		id := slot.order.id
		s.answerMove(slot, s.dispatch.MovedSoFar(slot.number, id), fmt.Errorf("slot %d: %s", slot.number, why))
		s.dispatch.ForgetMove(slot.number, id)
		s.endOrder(slot)
	}
}

// rebalanceBatch bounds how many connections each worker is asked to give at a
// time, so that moving takes a small part of its time.
const rebalanceBatch = 2000

// rebalance has the fullest workers give back what they have above the mean, for
// whoever has the fewest.
func (s *supervisor) rebalance() {
	if !s.config.Rebalance || s.reload != nil || s.stopping != stopNot {
		return
	}
	loads := s.dispatch.Loads()
	var movable []*slot
	total := 0
	for _, slot := range s.wanted(s.generation) {
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
		if excess := loads[slot.number] - fair; excess > 0 && slot.order == nil && slot.life == lifeServing {
			s.log.Debug("rebalancing", "slot", slot.number, "count", excess)
			s.giveOrder(slot, dispatch.Nobody, min(excess, rebalanceBatch))
		}
	}
}
