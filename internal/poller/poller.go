// Package poller is an event loop's only view of the kernel: a set of descriptors, and
// a wait for those that are ready. The master's accept loops and the loops of workers
// and clients stand on it. It knows no connections and no clock.
//
// # The contract
//
// Each system has one backend (here epoll.go), which is compiled in as the concrete
// type Set: nothing between a ready socket and its loop is an interface call. This is
// what every backend promises, and all that a loop may rely on. Package pollertest
// tests it.
//
// Conditions. Wait reports a descriptor as long as a condition holds that was asked
// for: what a loop has left unread is reported by the next Wait again
// (level-triggered). Err and Hup are reported whether asked for or not; a loop that
// wants nothing of a descriptor any more, and cannot end it, takes it out of the set.
//
// Tags. An event has the tag of the descriptor's last Add or Modify, all 64 bits of it,
// and never a descriptor's number: numbers are used again, and events come late. What
// a Wait has returned stays as it is when the loop, on its way through these events,
// modifies or deletes one that it has not come to. So the loop puts an index and a
// generation into the tag, and passes over what does not match. No Wait that begins
// after Del reports the descriptor, nor another one of its number under the old tag.
//
// Descriptors. Add borrows the descriptor, from then to Del. Del comes before its
// close, unless the set is closed next: another process or another number may hold the
// same open file, for a moment at least when it was passed in a message, and then close
// alone may leave it in the set, which reports it for ever. One descriptor can be in
// several sets. Add of one that is in this set is an error, and so are Modify and Del of one
// that is not; they change nothing. A regular file need not be accepted.
//
// Wait fills events, which has room for one at least, and returns how many. A negative
// timeout waits without limit, zero does not wait, and a positive one is rounded up to
// what the system can measure, a millisecond at most. With a positive one Wait may
// return early with nothing; without limit, never. Signals are no error, and end no
// wait without limit. The order of events in one Wait means nothing. If more descriptors
// are ready than there is room for, the others come in the Waits that follow, before any
// is reported twice.
//
// Ways to wait. A Wait keeps its thread and the right to run Go code (the P) while it
// sleeps, as long as there is work: so GOMAXPROCS is larger than the number of such loops
// of a process. See waiter. After Yield(true) each Wait gives the P up, for a process
// whose other goroutines have work. After Park each Wait parks its goroutine instead,
// for a process that lives by its other goroutines. What is reported is the same.
//
// Goroutines. All methods of a set are for one goroutine at a time, its loop's. A Waker ends its Wait from others: only
// Wake may be called from any goroutine, and at any time before the Waker's Close. What
// was published before Wake is seen after the Clear that follows it. Any number of
// Wakes before a Clear are one event and one system call.
//
// Cost and errors. Add, Modify, Del, Wait, Wake and Clear allocate nothing. No call
// but Wait blocks. Errors are of the type *os.SyscallError, but for those of a parked
// set that was closed. One of Add says that the descriptor cannot be waited for, or that
// the kernel has no room for it; one of Wait, that the set is of no use any more.
package poller

import (
	"math"
	"syscall"
	"time"
)

// The conditions that loops ask for and get. Their values are those of poll(2), which
// most systems share.
const (
	In  = 0x01 // something to read or to accept, or the end of the input
	Out = 0x04 // room to write; or the connect has come to its end
	Err = 0x08 // an error is pending (SO_ERROR); reported without being asked for
	Hup = 0x10 // both directions are shut, which a FIN alone is not; reported likewise
)

// backend is what a system's file has to give: a type Set of this kind, made by New, an
// Event, and a bell for wakers. wait.go and park.go, which any backend may use, build on
// raw and scheduled. It is here to be checked by the compiler, and nothing is called
// through it.
type backend interface {
	Add(fd int, conditions uint32, tag uint64) error
	Modify(fd int, conditions uint32, tag uint64) error
	Del(fd int) error
	Wait(events []Event, timeout time.Duration) (int, error)
	Yield(on bool)
	Park() error
	Close() error

	raw(events []Event, millis int) (int, syscall.Errno)       // wait, with the P kept
	scheduled(events []Event, millis int) (int, syscall.Errno) // wait, with the P given up
}

var (
	_ backend               = (*Set)(nil)
	_ func() (*Set, error)  = New
	_ func(e *Event) uint64 = (*Event).Tag
	_ func(e *Event) uint32 = (*Event).Ready
	_ func() (bell, error)  = newBell
)

// millis rounds up, so that a timer is not found unexpired and waited for
// again. Kernels take an int of 32 bits; what is cut off of a longer wait is
// an early return.
func millis(timeout time.Duration) int {
	if timeout < 0 {
		return -1
	}
	whole := timeout / time.Millisecond
	if timeout%time.Millisecond > 0 {
		whole++
	}
	return int(min(whole, math.MaxInt32))
}
