package dispatch

// Event is what the accept goroutine tells in its own time, by Setup.Report. Each is a
// fact about what has happened.
type Event interface{ event() }

// Worker says which process an event, or a queue, is of.
type Worker struct {
	Slot        int
	Generation  int
	Incarnation int // in that slot
	PID         int
}

// QueueBroken: a worker's queue is not to be used any more; it is to be replaced.
type QueueBroken struct {
	Worker
	Err error
}

// QueueIdle: a worker left what is in its queue there for a while. Inode is the
// socket's that the worker reads its queue from.
type QueueIdle struct {
	Worker
	Inode uint64
}

// Landed: nothing that a worker gave back, before AwaitLanding was called, is on its way.
type Landed struct{ Worker }

// MoveDone: what a worker gave back by an order has gone to others, so many.
type MoveDone struct {
	Worker
	Order uint64
	Moved int
}

// Arrived: nothing that moves to the guarded generation is on its way.
type Arrived struct{}

// GuardTripped: too many of those that moved to the guarded generation were lost.
type GuardTripped struct{ Tried, Failed uint64 }

// QueueGone: the queue of a reaped worker is empty and closed, and what became of its
// connections is known. No more is heard of that worker.
type QueueGone struct {
	Worker
	Final WorkerCounts
}

// BatchEmpty: the accept goroutine holds no connection, after Pause has found some.
type BatchEmpty struct{}

// Alive: the accept goroutine runs, after Ping.
type Alive struct{}

func (QueueBroken) event()  {}
func (QueueIdle) event()    {}
func (Landed) event()       {}
func (MoveDone) event()     {}
func (Arrived) event()      {}
func (GuardTripped) event() {}
func (QueueGone) event()    {}
func (BatchEmpty) event()   {}
func (Alive) event()        {}
