package dispatch

// This file is how the move guard bounds what is sent, and what becomes of connections
// when it has tripped: they go back to their old workers.

// guardMoves has the guard watch moves to a generation; with generation 0, none.
func (d *dispatcher) guardMoves(generation int, limit float64) {
	d.guard = moveGuard{generation: generation, limit: limit}
}

// guardTally sums up the workers of the guarded generation, and reports whether they can
// be seen to thaw: all of them keep the scoreboard.
func (d *dispatcher) guardTally() (n guardTally, seen bool) {
	n, seen = guardTally{tried: d.guard.tried, failed: d.guard.failed}, true
	for _, q := range d.all {
		if q.spec.Generation != d.guard.generation {
			continue
		}
		t := q.tally()
		t.said.Thawed = min(t.said.Thawed, q.movedIn)
		if q.phase == QueueReaped {
			n.unbooked += t.load() // what it had received is lost, but that is booked once its queue is empty
			t.said.Thawed += q.diedMoved()
			t.failed += q.diedMoved()
		} else {
			seen = seen && q.keepsBoard()
			n.outstanding += max(0, int(q.movedIn-t.said.Thawed))
			n.unbooked += t.unbooked()
		}
		n.tried += t.said.Thawed
		n.failed += t.failed
	}
	return n, seen
}

// diedMoved returns how many moved connections died with the worker, which had received
// them and not tried them to the end: perhaps it died of them.
func (q *workerQueue) diedMoved() uint64 {
	t := q.tally()
	return uint64(max(0, int(q.movedIn)-int(t.said.Thawed)-t.queued()))
}

// guardCapacity puts into c what the guard leaves of it, and trips the guard if too many
// have failed.
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

// bookGuard adds a reaped worker to what the guard has counted.
func (d *dispatcher) bookGuard(q *workerQueue) {
	if d.guard.generation != 0 && q.spec.Generation == d.guard.generation {
		d.guard.tried += q.final.said.Thawed + q.diedMoved()
		d.guard.failed += q.final.failed + q.diedMoved()
	}
}

// notArrived takes note that the moved connections in the batch, which came out of one
// end of a queue, were left unread there, if it is the worker's end: they are yet to
// arrive somewhere. In the total of those moved they stay, and are not counted again.
func (d *dispatcher) notArrived(q *workerQueue, end int) {
	d.movedBefore = end == q.spec.WorkerEnd && q.movedIn > 0
	for i := range d.batch.Len() {
		if d.movedBefore && d.batch.Frozen(i) && q.movedIn > 0 {
			q.movedIn--
		}
	}
}

// guarded reports whether the moved connections in the batch come from an older
// generation than the guarded one, so that the guard bounds where they go.
func (d *dispatcher) guarded() bool {
	return d.guard.generation != 0 && d.fromOld(d.from)
}

// fromOld reports whether the slot, or with Nobody any slot, has a living worker of an
// older generation than the guarded one.
func (d *dispatcher) fromOld(slot int) bool {
	for _, q := range d.all {
		if q.phase != QueueReaped && (slot == Nobody || q.spec.Slot == slot) && q.spec.Generation < d.guard.generation {
			return true
		}
	}
	return false
}

// oldWorker returns the queue to which the moved connections in the batch are to be
// returned, since they have nowhere else to go: no open queue's worker can thaw them, or
// the guard has tripped. It is their old worker's; or, if that is reaped or full, another
// closed one whose worker can thaw them, and is old itself if the guard has tripped. nil:
// they have somewhere to go, or no such queue has room for all of them.
func (d *dispatcher) oldWorker() *workerQueue {
	tripped := d.guard.tripped && d.guarded()
	if d.capacity.movers && !tripped || !d.holdsMoved() {
		return nil
	}
	var other *workerQueue
	for _, q := range d.closed {
		if q.phase == QueueReaped || q.broken || !q.spec.Moves || tripped && q.spec.Generation >= d.guard.generation || q.free(q.weigh()) < d.held() {
			continue
		}
		if q.spec.Slot == d.from {
			return q
		}
		other = q
	}
	return other
}

// holdsMoved reports whether the batch holds moved connections.
func (d *dispatcher) holdsMoved() bool {
	for i := range d.batch.Len() {
		if d.owns(i) && d.batch.Frozen(i) {
			return true
		}
	}
	return false
}

// returnMoved returns the moved connections in the batch to an old worker, if they have
// nowhere else to go. Those that it cannot take now stay in the batch.
func (d *dispatcher) returnMoved() {
	q := d.oldWorker()
	if q == nil || q.blocked {
		return
	}
	q.emptied = true // from now on what is in it is for its worker, and not to be rescued
	for i := range d.batch.Len() {
		d.target[i] = nil
		if d.owns(i) && d.batch.Frozen(i) {
			d.target[i] = q
		}
	}
	d.sendTargets()
}

// onTheWay reports whether connections are on their way to the guarded generation, or
// were lost there and are not in the totals as that yet: with nothing on the way, a
// snapshot that follows has all that were lost.
func (d *dispatcher) onTheWay() bool {
	if d.guard.generation == 0 {
		return false
	}
	n, seen := d.guardTally()
	return seen && n.outstanding+n.unbooked > 0
}

// awaitsGuard reports whether connections were given back that have to wait until
// those before them have been thawed.
func (d *dispatcher) awaitsGuard() bool {
	return d.guard.generation != 0 && !d.guard.tripped && d.capacity.guarded == 0 && d.givenBack()
}
