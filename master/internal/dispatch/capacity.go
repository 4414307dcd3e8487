package dispatch

// capacity is for how many connections there is room, at one moment.
type capacity struct {
	room     int  // at all open queues
	forMoved int  // of room, at workers that can thaw connections
	movers   bool // there are such workers, whether they have room or not
	guarded  int  // of forMoved, for those whose move the guard bounds
	unused   int  // of the workers' own capacity, whether it can be reached just now or not
	spare    int  // new connections that may be queued in all, whoever has room
	live     int  // connections there are
	// stalled: there is no room because of full queues. Unlike a limit, that is not ended
	// by a bell.
	stalled bool
}

// measure weighs every queue anew, and makes the candidates.
func (d *dispatcher) measure() (c capacity) {
	d.candidates = d.candidates[:0]
	c.live = d.held()
	queued := c.live
	for _, q := range d.open {
		w := q.weigh()
		if w.untrue {
			d.fail(q, errUntrue)
		}
		queued += w.queued
		c.live += w.load
		d.inspectAgain = d.inspectAgain || w.queued > 0 || q.seenFront != 0 || q.stuck
		room := q.room(w)
		c.room += room
		c.unused += max(0, q.spec.Capacity-w.load)
		if q.spec.Moves {
			c.forMoved += room
			c.movers = c.movers || !q.broken
		}
		c.stalled = c.stalled || room == 0 && q.free(w) > 0
		d.candidates = append(d.candidates, candidate{slot: q.spec.Slot, load: w.load, room: room, moves: q.spec.Moves})
	}
	for _, q := range d.closed {
		w := q.weigh()
		queued += w.queued
		c.live += w.load
	}
	c.spare = max(0, d.maxQueuedTotal-queued)
	c.stalled = c.stalled && c.room == 0 || c.spare == 0
	d.guardCapacity(&c)
	return c
}

// take takes the place of one connection that is for a worker; moves: it can thaw.
func (c *capacity) take(moves bool) {
	c.room--
	c.unused--
	if moves {
		c.forMoved--
	}
}

// admit takes note of a new connection, which has no place yet.
func (c *capacity) admit() {
	c.live++
	c.spare--
}

// placeable reports whether some connection in the batch has somewhere to go.
func (d *dispatcher) placeable() bool {
	c := &d.capacity
	for i := range d.batch.Len() {
		if d.owns(i) && (c.forMoved > 0 || c.room > 0 && !d.batch.Frozen(i)) && (!d.batch.Frozen(i) || !d.guarded() || c.guarded > 0) {
			return true
		}
	}
	return false
}
