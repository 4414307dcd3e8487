package master

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

// add adds a seat. What a dead worker leaves is queued until its queue is
// drained: only then is it known what died with it, and lost never goes down.
func (c *Counts) add(s *seat) {
	t := s.tally()
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
