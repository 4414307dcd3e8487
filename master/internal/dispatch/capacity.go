package dispatch

// capacity is for how many connections there is room, at one moment.
type capacity struct {
	room     int  // at all open queues
	forMoved int  // of room, at workers that can thaw connections
	movers   bool // there are such workers, whether they have room or not
	guarded  int  // of forMoved, for those whose move the guard bounds
	owed     int  // of room, to connections whose worker leaves and that are still to come: not for new ones
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
	owed := 0
	for _, q := range d.closed {
		w := q.weigh()
		queued += w.queued
		c.live += w.load
		owed += d.stillToMove(q, w)
	}
	c.owed = min(owed, c.forMoved)
	c.spare = max(0, d.maxQueuedTotal-queued)
	// How many stay is no news that rings.
	c.stalled = c.stalled && c.room == 0 || c.spare == 0 || c.owed > 0 && c.owed == c.room
	d.guardCapacity(&c)
	return c
}

// stillToMove returns how many connections of a worker that leaves are to go to others: a
// new client that took their room would have them cut.
func (d *dispatcher) stillToMove(q *workerQueue, w weight) int {
	if q.phase != QueueClosed || q.broken || !q.spec.Moves || d.guard.tripped && q.spec.Generation < d.guard.generation {
		return 0
	}
	return max(0, w.load-int(min(q.spec.Entry.Staying.Load(), uint64(w.load))))
}

// forNew is for how many new connections there is room.
func (c *capacity) forNew() int { return c.room - c.owed }

// take takes the place of one connection that is for a worker; moves: it can thaw.
func (c *capacity) take(moves bool) {
	c.room--
	c.unused--
	c.owed = min(c.owed, c.room)
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
