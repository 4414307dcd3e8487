package worker

import (
	"errors"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/batchsched"
	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// intake receives connections for a member. They come in packets by the queue, a socket
// whose other end is the master's; packet.go makes connections of what is in a packet.
// The mover sends by the same descriptor.
//
//	watched ──(event)──► take ──(a packet)──► adopted, one after another
//	   ▲                  │
//	   │                  └──(out of descriptors, or no room)──► left alone ──(retry)──┐
//	   └───────────────────────────────────────────────────────────────────────────────┘
//
// It belongs to the loop's goroutine.
type intake struct {
	member  *member
	streams *streams // nil if all connections are the loop's

	fd         int           // owned
	watched    bool          // it is in the loop's set
	retry      time.Duration // when to watch it again, on the loop's clock, or never
	crowded    bool          // it is left alone for want of room
	wanted     int           // if crowded: how many descriptors must be free before it is read again
	receiver   ipc.PacketConn
	scheduling batchsched.Thread // of the loop's thread

	packet   ipc.Packet    // what was received last
	at       int           // the connection of the packet that is next; those before it are adopted
	envelope ipc.Envelope  // scratch space: that of the connection that is being adopted
	clock    ipc.Clock     // which envelopes are dated by
	came     time.Duration // by that: when the packet was received
	timeout  time.Duration // the age from which a connection is too old to serve; 0: it never is
	late     int           // connections of this packet that were too old
}

// packetsPerEvent bounds how long new connections keep old ones waiting.
const packetsPerEvent = 4

// intakeRest is how long the queue is left alone when descriptors ran out.
const intakeRest = time.Second

// pending reports whether connections of the packet wait to be adopted.
func (q *intake) pending() bool { return q.at < q.packet.Len() }

// next returns when expire, or the rest of a packet, is due, or never.
func (q *intake) next() time.Duration {
	if q.pending() {
		return 0
	}
	return min(q.retry, q.scheduling.Due())
}

// ready is called when the queue is readable.
func (q *intake) ready() error {
	if !q.watched || q.pending() {
		return nil // the intake has left it in this turn, or had its share of the turn
	}
	_, err := q.take()
	return err
}

// take receives connections, adopts and opens them. It reports whether it found the
// queue empty.
//
// It reads on only after a full packet: one that is not full was most likely all there
// was, and if not, the poller reports the queue again. Sessions that are restored may
// take their time: then the rest of the packet waits for the next turn. An error means
// that the master broke the protocol, and ends the worker.
func (q *intake) take() (empty bool, err error) {
	l := q.member.loop
	killpoint.Reach(killpoint.Noticed)
	begun := l.now()
	for range packetsPerEvent {
		if q.pending() {
			if err := q.adoptPacket(begun); err != nil || q.pending() {
				return false, err
			}
			continue
		}
		if q.overfull() {
			return false, nil
		}
		switch err := q.receiver.Receive(q.fd, &q.packet); {
		case err == nil:
		case err == fdpass.ErrWouldBlock:
			return true, nil
		case err == fdpass.ErrPeerClosed:
			q.unwatch() // the master is going; the end of control follows
			return true, nil
		default:
			return false, q.bookLost(err)
		}
		n := q.packet.Len()
		q.came = q.clock.Now()
		killpoint.Reach(killpoint.Received)
		if l.locked {
			q.scheduling.Came(n, l.turnTime())
		}
		q.member.ledger.received(n)
		killpoint.Reach(killpoint.Booked)
		q.at = 0
		if err := q.adoptPacket(begun); err != nil || q.pending() {
			return false, err
		}
		if n < ipc.MaxConns {
			break
		}
	}
	return false, nil
}

// bookLost handles an error from the queue. When this process was out of
// descriptors, the packet's connections are gone: it books them, so that the master
// does not wait for them, and leaves the queue alone until there is room again, so
// that the master sends further ones to others.
func (q *intake) bookLost(err error) error {
	var lost *ipc.LostError
	if !errors.As(err, &lost) {
		return err
	}
	l := q.member.loop
	q.member.ledger.neverReached(lost.Count)
	l.log.Error("connections lost: out of descriptors", "lost", lost.Count, "after", intakeRest, "error", lost.Err)
	q.unwatch()
	q.retry = l.now() + intakeRest
	return nil
}

// overfull reports whether there is no room for the first packet in the queue, and then
// leaves the queue alone until there is. Without other connections it is false: there
// would be nothing to wait for, and there is the reserve.
func (q *intake) overfull() bool {
	m := q.member
	if m.loop.dialled == 0 || m.loop.accepted() == 0 || !m.capacity.measured() {
		return false
	}
	load := m.load()
	each, free := load.perClient(), m.capacity.free(load)
	if free >= ipc.MaxConns*each {
		return false
	}
	wanted := ipc.FrontLen(q.fd) * each
	if wanted <= free {
		return false
	}
	q.unwatch()
	q.crowded, q.wanted = true, wanted
	q.retry = m.loop.now() + intakeRest // lest the master takes a worker that waits for one that hangs
	return true
}

// fits reports whether there is room for what the queue was left alone for.
func (q *intake) fits() bool {
	if q.crowded {
		load := q.member.load()
		return load.accepted == 0 || q.member.capacity.free(load) >= q.wanted
	}
	return descriptorsFree(q.fd)
}

// reconsider is called when there may be more room: it watches a queue again that is
// crowded no more.
func (q *intake) reconsider() {
	if q.crowded && q.retry != never && q.fits() {
		q.rewatch()
	}
}

// expire does what is due by the clock.
func (q *intake) expire(now time.Duration) {
	if q.scheduling.Due() <= now {
		q.scheduling.EndWindow(now)
	}
	if q.retry <= now && !q.pending() {
		q.rewatch()
	}
}

// rewatch watches the queue again if there is room, and else plans to retry.
func (q *intake) rewatch() {
	l := q.member.loop
	if !q.fits() {
		q.retry = l.now() + intakeRest
		return
	}
	q.retry, q.crowded = never, false
	if err := q.watch(); err != nil {
		l.log.Warn("queue not watched, retrying", "after", intakeRest, "error", err)
		q.retry = l.now() + intakeRest
	}
}

func (q *intake) watch() error {
	err := q.member.loop.set.Add(q.fd, poller.In, tagQueue)
	q.watched = err == nil
	return err
}

func (q *intake) unwatch() {
	if q.watched {
		_ = q.member.loop.set.Del(q.fd) // it is in the set
		q.watched = false
	}
}

// stop takes nothing more from the queue. What is in it is the master's again.
func (q *intake) stop() {
	q.unwatch()
	q.retry = never
}

// close closes the member's end of the queue.
func (q *intake) close() { _ = unix.Close(q.fd) } // what is unread is the master's again
