// Package testhand is the door by which package handover's test drives a
// master's dispatcher by hand. It exists so that package master need not export
// it.
package testhand

// Master is an accept goroutine's code without the goroutine, listeners or
// processes. It runs in the calling goroutine and only within these methods.
type Master interface {
	// Hire opens a seat for a worker that is ready and can move connections. It
	// takes ownership of both ends of the queue; entry is an *ipc.Entry.
	Hire(slot, queue, workerEnd, capacity int, entry any)
	// Accept takes ownership of fd as a connection just accepted, or returns
	// false and does not: there is no room.
	Accept(id uint64, fd int) bool
	// Retire has a slot get nothing more; Bury is to be called when its worker is
	// dead.
	Retire(slot int)
	Bury(slot int)
	// Turn does all that can be done now. Time has passed since the last one.
	Turn() error
	// Held returns the ids of the connections in the hand.
	Held() []uint64
	Counts() Counts
	Close()
}

// Counts is master.Counts, which this package does not import.
type Counts struct{ Accepted, Active, Queued, Closed, Refused, Moved, Lost uint64 }

// New makes one; package master sets it. broken is called about a worker that is
// to be replaced.
var New func(broken func(slot int, err error)) (Master, error)
