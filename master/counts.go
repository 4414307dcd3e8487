package master

import "github.com/usher-go/usher/ipc"

// Counts are all connections since the start:
// Accepted = Queued + Active + Closed + Refused + Lost.
type Counts struct {
	Accepted uint64 `json:"accepted"`
	Active   uint64 `json:"active"`
	Queued   uint64 `json:"queued"`
	Closed   uint64 `json:"closed"`
	Refused  uint64 `json:"refused"`
	Moved    uint64 `json:"moved"`
	Lost     uint64 `json:"lost"`
	Cut      uint64 `json:"cut"` // of those closed: by the deadline of a drain, while their clients had more to say
}

// counts sums up.
func (d *dispatcher) counts() Counts {
	c := Counts{
		Accepted: d.totals.accepted, Closed: d.totals.closed, Refused: d.totals.refused,
		Moved: d.totals.moved, Lost: d.totals.lost, Cut: d.totals.cut,
	}
	c.Queued = uint64(d.handful())
	for _, s := range d.seats {
		c.add(s)
	}
	for _, s := range d.leaving {
		c.add(s)
	}
	return c
}

// snapshot is what there is at one moment.
type snapshot struct {
	counts  Counts
	tallies map[int]tally // of the living workers, by slot
}

func (d *dispatcher) snapshot() snapshot {
	s := snapshot{d.counts(), make(map[int]tally)}
	for _, seats := range [2][]*seat{d.seats, d.leaving} {
		for _, seat := range seats {
			if seat.phase != seatDead {
				s.tallies[seat.spec.Slot] = seat.tally()
			}
		}
	}
	return s
}

// loads returns the load of each open seat by slot.
func (d *dispatcher) loads() map[int]int {
	loads := make(map[int]int)
	for _, s := range d.seats {
		loads[s.spec.Slot] = s.tally().load()
	}
	return loads
}

// connsClosed takes a worker's word that it has closed connections.
func (d *dispatcher) connsClosed(slot int, closed ipc.Closed) {
	if s := d.find(slot); s != nil && !s.keepsBoard() {
		s.reported = min(s.reported+uint64(max(closed.Count, len(closed.IDs))), s.sent-s.drained-s.back)
	}
	for _, id := range closed.IDs {
		d.census.gone(id)
	}
}

// add adds a seat. What a dead worker leaves is queued until its queue is
// drained: only then is it known what died with it, and lost never goes down.
func (c *Counts) add(s *seat) {
	t := s.tally()
	if !s.closes {
		c.addSilent(s, t)
		return
	}
	c.Closed += t.closed - t.lost
	c.Lost += t.lost
	c.Cut += t.cut
	c.Queued += uint64(t.queued())
	if s.phase == seatDead {
		c.Queued += uint64(t.active())
	} else {
		c.Active += uint64(t.active())
	}
}

// addSilent adds a seat whose worker does not say what it closes. Its connections
// count as closed once they are known to be out of its queue, where others could
// still get them; of one that may give them back, once it is dead and they are lost
// to it.
func (c *Counts) addSilent(s *seat, t tally) {
	all := t.sent - t.drained - t.back
	if s.phase != seatDead && !s.spec.Moves && ipc.Front(s.spec.WorkerEnd) == 0 {
		s.said.closed = all
	}
	c.Closed += s.said.closed
	if s.spec.Moves && s.phase != seatDead {
		c.Active += all - s.said.closed
	} else {
		c.Queued += all - s.said.closed
	}
}
