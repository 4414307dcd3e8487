package dispatch

// This file is how a trial bounds what the dispatcher sends, and what becomes of
// the connections when it has failed.

// try begins a trial of a generation, or, with generation 0, ends the one there is.
func (d *dispatcher) guardMoves(generation int, limit float64) {
	d.guard = moveGuard{generation: generation, limit: limit}
}

// trialTally sums up a trial, and reports whether the workers can be seen to
// thaw: all of them keep the scoreboard.
func (d *dispatcher) guardTally() (n guardTally, seen bool) {
	n, seen = guardTally{tried: d.guard.tried, failed: d.guard.failed}, true
	for _, q := range d.all {
		if q.spec.Generation != d.guard.generation {
			continue
		}
		t := q.tally()
		t.said.Thawed = min(t.said.Thawed, q.movedIn)
		if q.phase == QueueReaped {
			t.said.Thawed += q.diedMoved()
			t.failed += q.diedMoved()
		} else {
			seen = seen && q.keepsBoard()
			n.outstanding += max(0, int(q.movedIn-t.said.Thawed))
		}
		n.tried += t.said.Thawed
		n.failed += t.failed
	}
	return n, seen
}

// died returns how many moved connections died with the seat's worker, which had
// received them and not tried them to the end: by them, perhaps.
func (q *workerQueue) diedMoved() uint64 {
	t := q.tally()
	return uint64(max(0, int(q.movedIn)-int(t.said.Thawed)-t.queued()))
}

// guardCapacity is measure for the trial, if there is one.
func (d *dispatcher) guardCapacity(c *capacity) {
	if d.guard.generation == 0 {
		return
	}
	n, seen := d.guardTally()
	if !seen {
		c.guarded = c.forMoved
		return
	}
	if !d.guard.tripped && d.guard.tooMany(n) {
		d.guard.tripped = true
		d.report(GuardTripped{n.tried, n.failed})
	}
	c.guarded = min(c.forMoved, d.guard.room(n))
	if d.fromOld(Nobody) && !d.guard.tripped {
		c.forMoved = min(c.forMoved, c.guarded) // what is given back stays in the kernel meanwhile
	}
}

// buryTrial books a dead worker's part.
func (d *dispatcher) bookGuard(q *workerQueue) {
	if d.guard.generation != 0 && q.spec.Generation == d.guard.generation {
		d.guard.tried += q.final.said.Thawed + q.diedMoved()
		d.guard.failed += q.final.failed + q.diedMoved()
	}
}

// unmove takes note that the moved connections in the hand, which came out of one
// end of a seat's queue, were left there, if it is that end: they are yet to arrive
// somewhere. In the total of those moved they stay, and are not counted again.
func (d *dispatcher) notArrived(q *workerQueue, end int) {
	d.movedBefore = end == q.spec.WorkerEnd && q.movedIn > 0
	for i := range d.batch.Len() {
		if d.movedBefore && d.batch.Frozen(i) && q.movedIn > 0 {
			q.movedIn--
		}
	}
}

// onTrial reports whether the moved connections in the hand are an older
// generation's, so that the trial bounds where they go.
func (d *dispatcher) guarded() bool {
	return d.guard.generation != 0 && d.fromOld(d.from)
}

// fromOld reports whether a slot, or with nobody some slot, holds an older
// generation than that on trial. One that is gone was old: the new one's do not
// move in a reload.
func (d *dispatcher) fromOld(slot int) bool {
	for _, q := range d.all {
		if q.spec.Slot == slot && q.phase != QueueReaped {
			return q.spec.Generation < d.guard.generation
		}
		if slot == Nobody && q.spec.Generation < d.guard.generation && q.phase != QueueReaped {
			return true
		}
	}
	return false
}

// home returns the seat that the moved connections in the hand are to be sent
// back to, since they have nowhere else to go, for now or, after a trial that has
// failed, for good: theirs, or, if that is dead or full, another that leaves and can
// thaw them, after such a trial of an older generation. nil: they have somewhere to
// go, or there is none with room for all of them.
func (d *dispatcher) oldWorker() *workerQueue {
	spoiled := d.guard.tripped && d.guarded()
	if d.capacity.movers && !spoiled || !d.holdsMoved() {
		return nil
	}
	var other *workerQueue
	for _, q := range d.closed {
		if q.phase == QueueReaped || q.broken || !q.spec.Moves || spoiled && q.spec.Generation >= d.guard.generation || q.free(q.weigh()) < d.held() {
			continue
		}
		if q.spec.Slot == d.from {
			return q
		}
		other = q
	}
	return other
}

// holdsMoved reports whether the hand holds moved connections.
func (d *dispatcher) holdsMoved() bool {
	for i := range d.batch.Len() {
		if d.owns(i) && d.batch.Frozen(i) {
			return true
		}
	}
	return false
}

// sendHome sends the moved connections in the hand back, if they have nowhere
// else to go. Those that cannot be taken now stay in the hand.
func (d *dispatcher) returnMoved() {
	q := d.oldWorker()
	if q == nil || q.blocked {
		return
	}
	q.emptied = true // from now on what is in its queue is for it
	for i := range d.batch.Len() {
		d.target[i] = nil
		if d.owns(i) && d.batch.Frozen(i) {
			d.target[i] = q
		}
	}
	d.sendTargets()
}

// untried returns how many connections on trial are on their way.
func (d *dispatcher) onTheWay() int {
	if d.guard.generation == 0 {
		return 0
	}
	n, seen := d.guardTally()
	if !seen {
		return 0
	}
	return n.outstanding
}

// awaitsTrial reports whether connections were given back that have to wait until
// those before them have been thawed.
func (d *dispatcher) awaitsGuard() bool {
	return d.guard.generation != 0 && !d.guard.tripped && d.capacity.guarded == 0 && d.givenBack()
}
