package dispatch

// This file is how a trial bounds what the dispatcher sends, and what becomes of
// the connections when it has failed.

// try begins a trial of a generation, or, with generation 0, ends the one there is.
func (d *dispatcher) try(generation int, limit float64) {
	d.trial = trial{generation: generation, limit: limit}
}

// trialTally sums up a trial, and reports whether the workers can be seen to
// thaw: all of them keep the scoreboard.
func (d *dispatcher) trialTally() (n trialTally, seen bool) {
	n, seen = trialTally{tried: d.trial.tried, failed: d.trial.failed}, true
	for _, s := range d.all {
		if s.spec.Generation != d.trial.generation {
			continue
		}
		t := s.tally()
		t.said.Thawed = min(t.said.Thawed, s.movedIn)
		if s.phase == QueueReaped {
			t.said.Thawed += s.died()
			t.failed += s.died()
		} else {
			seen = seen && s.keepsBoard()
			n.outstanding += max(0, int(s.movedIn-t.said.Thawed))
		}
		n.tried += t.said.Thawed
		n.failed += t.failed
	}
	return n, seen
}

// died returns how many moved connections died with the seat's worker, which had
// received them and not tried them to the end: by them, perhaps.
func (s *seat) died() uint64 {
	t := s.tally()
	return uint64(max(0, int(s.movedIn)-int(t.said.Thawed)-t.queued()))
}

// guardCapacity is measure for the trial, if there is one.
func (d *dispatcher) guardCapacity(c *capacity) {
	if d.trial.generation == 0 {
		return
	}
	n, seen := d.trialTally()
	if !seen {
		c.guarded = c.forMoved
		return
	}
	if !d.trial.spoiled && d.trial.judge(n) {
		d.trial.spoiled = true
		d.report(GuardTripped{n.tried, n.failed})
	}
	c.guarded = min(c.forMoved, d.trial.room(n))
	if d.fromOld(Nobody) && !d.trial.spoiled {
		c.forMoved = min(c.forMoved, c.guarded) // what is given back stays in the kernel meanwhile
	}
}

// buryTrial books a dead worker's part.
func (d *dispatcher) buryTrial(s *seat) {
	if d.trial.generation != 0 && s.spec.Generation == d.trial.generation {
		d.trial.tried += s.final.said.Thawed + s.died()
		d.trial.failed += s.final.failed + s.died()
	}
}

// unmove takes note that the moved connections in the hand, which came out of one
// end of a seat's queue, were left there, if it is that end: they are yet to arrive
// somewhere. In the total of those moved they stay, and are not counted again.
func (d *dispatcher) unmove(s *seat, end int) {
	d.movedBefore = end == s.spec.WorkerEnd && s.movedIn > 0
	for i := range d.hand.Len() {
		if d.movedBefore && d.hand.Frozen(i) && s.movedIn > 0 {
			s.movedIn--
		}
	}
}

// onTrial reports whether the moved connections in the hand are an older
// generation's, so that the trial bounds where they go.
func (d *dispatcher) onTrial() bool {
	return d.trial.generation != 0 && d.fromOld(d.from)
}

// fromOld reports whether a slot, or with nobody some slot, holds an older
// generation than that on trial. One that is gone was old: the new one's do not
// move in a reload.
func (d *dispatcher) fromOld(slot int) bool {
	for _, s := range d.all {
		if s.spec.Slot == slot && s.phase != QueueReaped {
			return s.spec.Generation < d.trial.generation
		}
		if slot == Nobody && s.spec.Generation < d.trial.generation && s.phase != QueueReaped {
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
func (d *dispatcher) home() *seat {
	spoiled := d.trial.spoiled && d.onTrial()
	if d.capacity.movers && !spoiled || !d.holdsMoved() {
		return nil
	}
	var other *seat
	for _, s := range d.leaving {
		if s.phase == QueueReaped || s.broken || !s.spec.Moves || spoiled && s.spec.Generation >= d.trial.generation || s.free(s.weigh()) < d.handful() {
			continue
		}
		if s.spec.Slot == d.from {
			return s
		}
		other = s
	}
	return other
}

// holdsMoved reports whether the hand holds moved connections.
func (d *dispatcher) holdsMoved() bool {
	for i := range d.hand.Len() {
		if d.holds(i) && d.hand.Frozen(i) {
			return true
		}
	}
	return false
}

// sendHome sends the moved connections in the hand back, if they have nowhere
// else to go. Those that cannot be taken now stay in the hand.
func (d *dispatcher) sendHome() {
	s := d.home()
	if s == nil || s.choked {
		return
	}
	s.emptied = true // from now on what is in its queue is for it
	for i := range d.hand.Len() {
		d.target[i] = nil
		if d.holds(i) && d.hand.Frozen(i) {
			d.target[i] = s
		}
	}
	d.sendTargets()
}

// untried returns how many connections on trial are on their way.
func (d *dispatcher) untried() int {
	if d.trial.generation == 0 {
		return 0
	}
	n, seen := d.trialTally()
	if !seen {
		return 0
	}
	return n.outstanding
}

// awaitsTrial reports whether connections were given back that have to wait until
// those before them have been thawed.
func (d *dispatcher) awaitsTrial() bool {
	return d.trial.generation != 0 && !d.trial.spoiled && d.capacity.guarded == 0 && d.givenBack()
}
