package worker

import "github.com/usher-go/usher/ipc"

// Connections that are dialled take descriptors of those that `ready` promised for
// accepted ones. Two things see to it that clients wait where they are, in the
// kernel's backlog, when there are none left:
//
//	scoreboard  withheld: how many fewer than its capacity the worker can hold now,
//	            those counted that the next ones are likely to dial
//	queue       what was sent before that was seen stays in it, unread, until there is room
//
// The reserve (reservedFDs) is for neither.

// room is the account of descriptors. The zero value keeps none.
type room struct {
	descriptors int  // for connections of both kinds
	capacity    int  // as stated in ready
	withheld    int  // as in the scoreboard
	held        bool // the queue is left alone for want of room
	wanted      int  // then: how many must be free before it is read again
}

// dialsKnown is from how many accepted connections on what they dial on average says
// what the next one will. Before, it is taken to dial one: a pool of connections that
// is dialled once is not to look like the doing of the first client.
const dialsKnown = 16

// perClient returns how many descriptors one more accepted connection will take.
func (l *loop) perClient() int {
	accepted := l.accepted()
	if accepted < dialsKnown {
		return 2
	}
	return 1 + (l.dialled+accepted-1)/accepted
}

// free returns how many descriptors are left.
func (l *loop) free() int {
	return l.room.descriptors - l.table.live - l.streams.live()
}

// reckon tells the master how much less there is room for, if that has changed.
func (l *loop) reckon() {
	r := &l.room
	if r.descriptors == 0 {
		return
	}
	withheld := 0
	if l.dialled > 0 {
		most := l.accepted() + l.streams.live() + max(0, l.free())/l.perClient()
		withheld = min(max(0, r.capacity-most), r.capacity)
	}
	if withheld != r.withheld {
		r.withheld = withheld
		if l.station.entry.Withhold(withheld) {
			l.control.send(ipc.Closed{})
		}
	}
	if r.held && l.queue.retry != 0 && !l.lacksRoom() {
		l.retryQueue()
	}
}

// overfull reports whether what is first in the queue does not fit, and then leaves
// the queue alone until it does. Without other connections it is taken in any case:
// there is nothing to wait for, and the reserve.
func (l *loop) overfull() bool {
	if l.room.descriptors == 0 || l.dialled == 0 || l.accepted() == 0 {
		return false
	}
	each := l.perClient()
	if l.free() >= ipc.MaxConns*each {
		return false
	}
	wanted := ipc.FrontLen(l.station.queue) * each
	if wanted <= l.free() {
		return false
	}
	l.unwatchQueue()
	l.room.held, l.room.wanted = true, wanted
	l.queue.retry = l.now() + intakeRest // also, lest a worker that waits looks like one that hangs
	return true
}

// lacksRoom reports whether there is no room yet for what is to be taken from the
// queue.
func (l *loop) lacksRoom() bool {
	if l.room.held {
		return l.accepted() > 0 && l.free() < l.room.wanted
	}
	return !l.hasRoom()
}
