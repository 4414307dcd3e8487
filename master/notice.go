package master

// notice is what the accept goroutine tells the supervisor, which acts on it in
// its own time. Each is a fact about what has happened.
type notice interface{ about(*supervisor) }

// queueBroken: a worker's queue is not to be used any more; it is to be replaced.
type queueBroken struct {
	spec seatSpec
	err  error
}

// tookNothing: a worker left what is in its queue there for a while.
type tookNothing struct{ spec seatSpec }

// landed: nothing that a worker gave back, before land was asked for, is on its way.
type landed struct{ spec seatSpec }

// delivered: what a worker gave back by an order has gone to others.
type delivered struct {
	spec  seatSpec
	order uint64
	moved int
}

// arrived: nothing that moves to the generation on trial is on its way.
type arrived struct{}

// trialSpoiled: too many of those that moved to the generation on trial were lost.
type trialSpoiled struct{ tally trialTally }

// booked: a dead worker's queue is empty, and what became of its connections is
// known. No more is heard of that worker.
type booked struct {
	spec  seatSpec
	final tally
}

// emptyHanded: nothing is in the hand, after park has found something there.
type emptyHanded struct{}

// What it was asked for is tried again by reconcile, which follows any event.
func (emptyHanded) about(*supervisor) {}
