package worker

import (
	"fmt"
	"os"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// Connections that are dialled take descriptors of those that `ready` promised for
// accepted ones. Two things see to it that clients wait where they are, in the
// kernel's backlog, when there are none left:
//
//	scoreboard  withheld: how many fewer than its capacity the worker can hold now,
//	            those counted that the next ones are likely to dial
//	queue       what was sent before that was seen stays in it, unread, until there is
//	            room (intake.overfull)
//
// The reserve (reservedFDs) is for neither.

// capacity is how many connections this process can hold: a value, from measure. The
// zero value was not measured, and bounds nothing.
type capacity struct {
	descriptors int // for connections, dialled ones included
	accepted    int // of accepted ones, as stated in ready
	withheld    int // of those, as in the scoreboard
}

// load is how many connections there are.
type load struct {
	accepted  int // sessions' ones
	dialled   int
	streaming int // those of streams
}

// load returns the member's.
func (m *member) load() load {
	return load{accepted: m.loop.accepted(), dialled: m.loop.dialled, streaming: m.streaming}
}

// reservedFDs is how many descriptors are not offered for connections: the
// standard ones, queue, control, scoreboard, the loop's own and Go's, which are
// about a dozen, and some for what a handler opens beside its connections. A
// program that opens one for each connection wants --max-conns-per-worker, but for
// connections that it dials: those are accounted for.
const reservedFDs = 64

// fewestFDs is what this process needs for itself, and one connection.
const fewestFDs = 32

// measure returns how many connections this process can hold; accepted ones at most
// maxConns, unless that is 0.
func measure(maxConns int) (capacity, error) {
	limit, err := descriptorLimit()
	if err != nil {
		return capacity{}, err
	}
	if limit < fewestFDs {
		return capacity{}, fmt.Errorf("a limit of %d descriptors leaves none for connections; raise it to %d at least", limit, fewestFDs)
	}
	c := capacity{descriptors: limit - reserved(limit)}
	c.accepted = c.descriptors
	if maxConns > 0 {
		c.accepted = min(c.accepted, maxConns)
	}
	return c, nil
}

// reserved returns how many of so many descriptors are not offered: under a
// very low limit half of them.
func reserved(limit int) int { return min(reservedFDs, limit/2) }

// descriptorLimit returns how many descriptors this process may have. Go has
// raised the soft limit to the hard one at start.
func descriptorLimit() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	const most = 1 << 30 // of an unlimited number; no process has as many
	return int(min(limit.Cur, most)), nil
}

// descriptorsFree tries whether there is room for the descriptors of a full packet:
// nothing else tells how many are free. It borrows fd.
func descriptorsFree(fd int) bool {
	limit, err := descriptorLimit()
	if err != nil {
		return false
	}
	fds := make([]int, max(2, min(ipc.MaxConns, limit/4))) // a master under the same limit sends no more at a time
	for i := range fds {
		duplicate, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			fdpass.CloseAll(fds[:i])
			return false
		}
		fds[i] = duplicate
	}
	fdpass.CloseAll(fds)
	return true
}

// measured reports whether it is not the zero value.
func (c capacity) measured() bool { return c.descriptors > 0 }

// free returns how many descriptors so many connections leave; below 0 there are more
// than were to be.
func (c capacity) free(n load) int { return c.descriptors - n.accepted - n.dialled - n.streaming }

// missing returns how many accepted connections fewer than c.accepted there is room
// for, since others are dialled.
func (c capacity) missing(n load) int {
	if n.dialled == 0 {
		return 0
	}
	most := n.accepted + n.streaming + max(0, c.free(n))/n.perClient()
	return min(max(0, c.accepted-most), c.accepted)
}

// dialsKnown is from how many accepted connections on what they dial on average says
// what the next one will. Before, it is taken to dial one: a pool of connections that
// is dialled once is not to look like the doing of the first client.
const dialsKnown = 16

// perClient returns how many descriptors one more accepted connection will take.
func (n load) perClient() int {
	if n.accepted < dialsKnown {
		return 2
	}
	return 1 + (n.dialled+n.accepted-1)/n.accepted
}

// reckon tells the master how much less there is room for, if that has changed, and
// reads the queue again once there is room for what is in it.
func (m *member) reckon() {
	if !m.capacity.measured() {
		return
	}
	if missing := m.capacity.missing(m.load()); missing != m.capacity.withheld {
		m.capacity.withheld = missing
		m.ledger.withhold(missing)
	}
	m.intake.reconsider()
}
