package worker

import (
	"strings"
	"time"

	"github.com/usher-go/usher/ipc"
)

// ledger is what the master is told of connections: numbers in the worker's entry of
// the scoreboard, which say how many, and messages on control, which say which and
// why. It belongs to the loop's goroutine.
type ledger struct {
	entry     *ipc.Entry
	control   *control
	reportIDs bool     // the master wants the ids of closed connections
	closedIDs []uint64 // those that are to be reported at the turn's end
	losses    losses
}

// losses are the connections lost since the master was last told why.
type losses struct {
	count int
	last  error
}

// received books connections that were taken from the queue.
func (b *ledger) received(n int) { b.entry.Received.Add(uint64(n)) }

// closed books a closed connection, after close(2). One that was pinned is so no more.
func (b *ledger) closed(id uint64, pinned bool) {
	if pinned {
		b.entry.Staying.Add(^uint64(0))
	}
	if b.entry.AddClosed(1) {
		b.ring()
	}
	if b.reportIDs {
		b.closedIDs = append(b.closedIDs, id)
	}
}

// neverReached books connections that were received without their descriptors, as
// lost and closed. Their ids are not known.
func (b *ledger) neverReached(n int) {
	b.received(n)
	b.entry.Lost.Add(uint64(n)) // a part of closed, so before it
	if b.entry.AddClosed(uint64(n)) {
		b.ring()
	}
}

// pinned books a connection that will not move.
func (b *ledger) pinned() { b.entry.Staying.Add(1) }

// lost books a connection that could not be thawed. It is closed next.
func (b *ledger) lost(err error) {
	b.entry.Lost.Add(1)
	b.losses.count++
	b.losses.last = err
}

// thawed books that a connection was thawed, pause after it was frozen, or was lost: then
// it is called after lost.
func (b *ledger) thawed(pause time.Duration) {
	if b.entry.AddThawed(pause) {
		b.ring()
	}
}

// cut books connections that are open when a drain's deadline comes.
func (b *ledger) cut(n int) { b.entry.Cut.Add(uint64(n)) }

// shook books a TLS handshake that is done, and refused one that has failed, or a PROXY
// header. Both are for any goroutine.
func (b *ledger) shook(resumed bool) {
	if resumed {
		b.entry.Resumed.Add(1) // a part of Handshakes, so before it
	}
	b.entry.Handshakes.Add(1)
}

func (b *ledger) refused(why refusalCounter) {
	switch why {
	case countHandshake:
		b.entry.HandshakesRefused.Add(1)
	case countUntrusted:
		b.entry.ProxyUntrusted.Add(1)
	case countMalformed:
		b.entry.ProxyMalformed.Add(1)
	case countLate:
		b.entry.ProxyLate.Add(1)
	}
}

// withhold books that the worker can hold n connections fewer than its capacity.
func (b *ledger) withhold(n int) {
	if b.entry.Withhold(n) {
		b.ring()
	}
}

// bellWanted reports whether the master waits for room.
func (b *ledger) bellWanted() bool { return b.entry.WantBell.Load() != 0 }

// ring tells a master that waits for room to look at the entry.
func (b *ledger) ring() { b.control.send(ipc.Closed{}) }

// report ends a turn: it says which connections were closed in it, and why others
// were lost.
func (b *ledger) report() {
	if len(b.closedIDs) > 0 {
		b.sendIDs()
	}
	if b.losses.count > 0 {
		b.sendLosses()
	}
}

func (b *ledger) sendIDs() {
	for ids := b.closedIDs; len(ids) > 0; {
		n := min(len(ids), ipc.MaxIDs)
		b.control.send(ipc.Closed{IDs: ids[:n]})
		ids = ids[n:]
	}
	b.closedIDs = b.closedIDs[:0]
}

func (b *ledger) sendLosses() {
	reason := b.losses.last.Error()
	b.control.send(ipc.Lost{Count: b.losses.count, Error: strings.ToValidUTF8(reason[:min(len(reason), ipc.MaxReason)], "")})
	b.losses = losses{}
}
