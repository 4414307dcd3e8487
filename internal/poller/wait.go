package poller

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// waiter decides how a wait enters the kernel. It belongs to the set's loop, whose thread
// blocks in it. A raw system call costs what it costs in C, but the thread keeps its P
// (the scheduler's right to run Go code) while it sleeps; one through syscall.Syscall6
// gives the P up and takes it back, which costs as much again as the whole wait. So:
//
//   - Wait raw. A P that is held for 10 ms makes the runtime's monitor signal
//     the thread (sysmon and retake in runtime/proc.go), and the wait
//     returns EINTR, as epoll_pwait, poll and kevent always do (signal(7)).
//   - On EINTR, if a raw wait returned since the one before, the loop has work:
//     wait raw again. A wait through the scheduler would cost more than itself:
//     the monitor takes the P away from it, and having done so looks again every
//     20 µs for a millisecond and more.
//   - Else the loop slept. Let the next coolWaits waits go through the scheduler,
//     where they may last for ever at no cost: then nobody signals, and the other
//     goroutines of a quiet process are not held up.
//
// At rest this is one blocked thread, no signals and no P held. Its price is
// that a loop with work holds one P for itself, so GOMAXPROCS must be larger than
// the number of loops. It needs asynchronous preemption: with
// GODEBUG=asyncpreemptoff=1 no signal comes, and a stop of the world could wait
// for ever.
type waiter struct {
	yield  bool // always through the scheduler
	cool   int  // how many waits are still to go through the scheduler
	worked bool // a raw wait returned since the last EINTR
}

// coolWaits is how many waits go through the scheduler after the loop has slept.
const coolWaits = 64

// wait waits in s, whose waiter this is.
func (w *waiter) wait(s *Set, events []Event, millis int) (int, syscall.Errno) {
	if millis == 0 {
		return s.look(events)
	}
	if w.yield {
		return s.throughScheduler(events, millis)
	}
	if w.cool > 0 {
		w.cool--
		return s.throughScheduler(events, millis)
	}
	n, errno := s.raw(events, millis)
	if errno != unix.EINTR {
		w.worked = w.worked || n > 0
		return n, errno
	}
	if !w.worked {
		w.cool = coolWaits
	}
	w.worked = false
	if millis > 0 {
		return 0, 0 // the caller knows how much of its timeout is left
	}
	return w.wait(s, events, millis) // a call: here the scheduler gets its turn, which the signal asked for
}

// look finds what is ready, without waiting, whatever signals come.
func (s *Set) look(events []Event) (int, syscall.Errno) {
	for {
		n, errno := s.raw(events, 0)
		if errno != unix.EINTR {
			return n, errno
		}
	}
}

// throughScheduler waits with the P given up. An interrupted wait without limit
// goes on; one with a limit ends early.
func (s *Set) throughScheduler(events []Event, millis int) (int, syscall.Errno) {
	for {
		n, errno := s.scheduled(events, millis)
		if errno != unix.EINTR {
			return n, errno
		}
		if millis > 0 {
			return 0, 0
		}
	}
}
