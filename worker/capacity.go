package worker

import (
	"fmt"
	"os"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// A worker tells the master how many connections it can accept, in its message Ready.
// Connections that it dials take descriptors of that number. When there are none left,
// clients are to wait in the kernel's backlog, and two things see to that:
//
//	scoreboard  withheld: by how many connections the worker can hold fewer now than it
//	            said, those included that the next clients are likely to have it dial
//	queue       connections that the master sent before it saw that stay in the queue,
//	            unread, until there is room (intake.overfull)
//
// Neither uses the reserve (reservedFDs).

// capacity is how many connections this process can hold. measure returns it, and
// reckon keeps withheld; it belongs to the loop's goroutine. The zero value was not
// measured, and bounds nothing.
type capacity struct {
	descriptors int // for connections, dialled ones included
	accepted    int // how many accepted connections Ready has promised
	withheld    int // how many of those are withheld, as the scoreboard says
}

// load is how many connections there are.
type load struct {
	accepted  int // served by sessions
	dialled   int
	streaming int // served by streams
}

// load returns the member's.
func (m *member) load() load {
	return load{accepted: m.loop.accepted(), dialled: m.loop.dialled, streaming: m.streaming}
}

// reservedFDs is how many descriptors are not offered for connections: the
// standard ones, queue, control, scoreboard, the loop's own and Go's, which are
// about a dozen, and some for what a handler opens beside its connections. A
// program that opens more wants WithReservedDescriptors, and one that opens some for each
// connection --max-conns-per-worker; but connections that it dials are accounted for.
const reservedFDs = 64

// fewestFDs is what this process needs for itself, and one connection.
const fewestFDs = 32

// measure returns how many connections this process can hold; of accepted ones at most
// maxConns, unless that is 0. more is what the program wants for itself.
func measure(maxConns, more int) (capacity, error) {
	limit, err := descriptorLimit()
	if err != nil {
		return capacity{}, err
	}
	if limit < fewestFDs {
		return capacity{}, fmt.Errorf("a limit of %d descriptors leaves none for connections; raise it to %d at least", limit, fewestFDs)
	}
	c := capacity{descriptors: limit - reserved(limit, more)}
	c.accepted = c.descriptors
	if maxConns > 0 {
		c.accepted = min(c.accepted, maxConns)
	}
	return c, nil
}

// reserved returns how many descriptors are not offered under this limit: half of them
// if it is very low, and with what the program wants three quarters at most.
func reserved(limit, more int) int {
	if more <= 0 {
		return min(reservedFDs, limit/2)
	}
	return min(reservedFDs+more, limit/4*3)
}

// descriptorLimit returns how many descriptors this process may have. Go has
// raised the soft limit to the hard one at start.
func descriptorLimit() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	const most = 1 << 30 // instead of no limit; no process has as many
	return int(min(limit.Cur, most)), nil
}

// descriptorsFree reports whether there is room for the descriptors of a full packet. It
// tries, by duplicates of fd, since nothing tells how many are free. It borrows fd.
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

// measured reports whether c comes from measure.
func (c capacity) measured() bool { return c.descriptors > 0 }

// free returns how many descriptors the load leaves free. Below 0, there are more
// connections than were to be.
func (c capacity) free(n load) int { return c.descriptors - n.accepted - n.dialled - n.streaming }

// missing returns how many of the promised accepted connections there is no room for,
// since others were dialled.
func (c capacity) missing(n load) int {
	if n.dialled == 0 {
		return 0
	}
	most := n.accepted + n.streaming + max(0, c.free(n))/n.perClient()
	return min(max(0, c.accepted-most), c.accepted)
}

// dialsKnown is how many accepted connections it takes for an average: then the next one
// is expected to dial as many as they did. With fewer, it is expected to dial one: a pool
// of connections that is dialled once is not to look like the doing of the first client.
const dialsKnown = 16

// perClient returns how many descriptors one more accepted connection is expected to
// take, with those that it dials.
func (n load) perClient() int {
	if n.accepted < dialsKnown {
		return 2
	}
	return 1 + (n.dialled+n.accepted-1)/n.accepted
}

// reckon ends a turn: it withholds what there is no room for, if that has changed, and
// has the queue read again once there is room for what is in it.
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
