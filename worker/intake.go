package worker

import (
	"errors"
	"net/netip"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// intake is the loop's end of the queue.
type intake struct {
	courier  ipc.Courier
	packet   ipc.Packet
	envelope ipc.Envelope
	watched  bool          // in the epoll set
	retry    time.Duration // when to watch it again; 0: no such time
	clock    ipc.Clock
	timeout  time.Duration // from when a connection is too old to serve; 0: never
	late     int           // such ones in this packet
	at       int           // of the packet: the connection that is next; all before are taken in
}

// packetsPerEvent bounds how long new connections keep old ones waiting.
const packetsPerEvent = 4

// intakeRest is how long the queue is left alone when descriptors ran out.
const intakeRest = time.Second

var errLate = errors.New("worker: connection waited too long in the queue")

// pending reports whether a packet was received, and not all in it taken in.
func (q *intake) pending() bool { return q.at < q.packet.Len() }

func (q *intake) next() time.Duration {
	if q.pending() {
		return 0
	}
	if q.retry == 0 {
		return never
	}
	return q.retry
}

// takeIn receives connections and opens them. It reports whether the queue was
// found empty.
//
// It reads on only after a full packet: one that is not full was all there was,
// most likely, and if not, epoll says so again. Taking in may take its time, where
// sessions are restored: then the rest of the packet waits for the next turn. An
// error is the master's: it ends the worker.
func (l *loop) takeIn() (empty bool, err error) {
	q := &l.queue
	killpoint.Reach(killpoint.Noticed)
	begun := l.now()
	for range packetsPerEvent {
		if q.pending() {
			if err := l.adoptPacket(begun); err != nil || q.pending() {
				return false, err
			}
			continue
		}
		if l.overfull() {
			return false, nil
		}
		switch err := q.courier.Receive(l.station.queue, &q.packet); {
		case err == nil:
		case err == fdpass.ErrWouldBlock:
			return true, nil
		case err == fdpass.ErrPeerClosed:
			l.unwatchQueue() // the master is going; the end of control follows
			return true, nil
		default:
			return false, l.bookLost(err)
		}
		n := q.packet.Len()
		killpoint.Reach(killpoint.Received)
		if !l.parks {
			l.pace.Came(n, l.turnTime()) // of this thread
		}
		l.station.entry.Received.Add(uint64(n))
		killpoint.Reach(killpoint.Booked)
		q.at = 0
		if err := l.adoptPacket(begun); err != nil || q.pending() {
			return false, err
		}
		if n < ipc.MaxConns {
			break
		}
	}
	return false, nil
}

// adoptPacket makes connections of what is in the packet, for a turn that begun
// then, as long as that lasts.
func (l *loop) adoptPacket(begun time.Duration) error {
	q := &l.queue
	for first := true; q.pending(); first = false {
		if !first && l.now()-begun > moveTime {
			return nil
		}
		q.at++
		if err := l.adopt(q.at - 1); err != nil {
			l.dropPacket()
			return err
		}
		l.progress()
	}
	l.dropPacket() // all descriptors are taken, but for the state of one that a stream took
	if q.late > 0 {
		l.log.Warn("connections closed, they waited too long in the queue", "count", q.late, "limit", q.timeout)
		q.late = 0
	}
	return nil
}

// dropPacket closes what is left of the packet.
func (l *loop) dropPacket() {
	q := &l.queue
	for ; q.pending(); q.at++ {
		id := q.packet.ID(q.at)
		_ = unix.Close(q.packet.Take(q.at)) // the kernel sends what was written to it
		l.countClosed(id)
	}
	q.packet.Close()
	q.packet.Reset()
	q.at = 0
}

// adopt makes a connection of number i of the packet, and opens it.
func (l *loop) adopt(i int) error {
	q := &l.queue
	if err := q.packet.Decode(i, &q.envelope); err != nil {
		return err
	}
	fd := q.packet.Take(i)
	if listener := l.streams.route(q.envelope.Listener); listener != nil {
		l.streams.adopt(listener, &q.envelope, fd)
		return nil
	}
	c := &Conn{
		loop:   l,
		origin: l.originOf(q.envelope.Listener, q.envelope.Local),
		remote: q.envelope.Remote.Addr(),
		port:   q.envelope.Remote.Port(),
		id:     q.envelope.ID,
		fd:     int32(fd),
		state:  newState(phaseOpen, 0),
	}
	l.table.add(c)
	l.hungUp = false // it may dial: the drain's end is put off
	c.setIdle(l.idleMS)
	if l.log.IsTrace() {
		l.log.Trace("connection opened", "conn", c.id, "peer", c.RemoteAddr(), "listener", c.origin.listener)
	}
	l.wake(c, q.packet.Frozen(i))
	c.touch()
	l.settle()
	killpoint.Reach(killpoint.Opened)
	if l.drain.on && !l.drain.move { // else the mover comes to it
		c.askToDrain()
		l.settle()
	}
	return nil
}

// wake opens a connection that has arrived: as a new one, or as the one that it
// was in another worker.
func (l *loop) wake(c *Conn, frozen bool) {
	stage := ipc.StageQueued
	stage.Step(ipc.EventReceive)
	event, err := ipc.EventOpen, error(nil)
	switch {
	case frozen:
		l.frozenAt = l.queue.clock.Now() // should the state not say
		if err = l.thawReceived(c); err != nil {
			event = ipc.EventFail
		}
	case l.tooLate():
		event, err = ipc.EventClose, errLate
	default:
		if err = c.callOpen(l.handler); err != nil {
			event = ipc.EventClose
		}
	}
	switch stage.Step(event) {
	case ipc.StageLost:
		l.lose(c, err)
	case ipc.StageClosed:
		if err == errLate {
			c.fail(err)
			return
		}
		l.log.Debug("connection refused", "conn", c.id, "peer", c.RemoteAddr(), "error", err)
		c.end(err)
	}
	if frozen {
		l.countThawed(l.queue.clock.Now() - l.frozenAt)
	}
}

// thawReceived thaws a connection with the state that came with it, in the
// packet or in a memfd.
func (l *loop) thawReceived(c *Conn) error {
	q := &l.queue
	if !q.packet.Large() {
		return l.thaw(c, q.envelope.State)
	}
	memfd := q.packet.TakeState()
	state, err := ipc.ReadState(memfd)
	fdpass.CloseAll([]int{memfd})
	if err != nil {
		return err
	}
	return l.thaw(c, state)
}

// tooLate reports whether the envelope's connection has waited for longer than it
// is worth serving, and counts it.
func (l *loop) tooLate() bool {
	q := &l.queue
	late := q.timeout > 0 && q.clock.Now()-q.envelope.Accepted > q.timeout
	if late {
		q.late++
	}
	return late
}

// maxOrigins bounds what a sender can make the loop remember. There are as many
// as listeners.
const maxOrigins = 1024

func (l *loop) originOf(listener string, local netip.AddrPort) *origin {
	key := origin{listener, local}
	if o := l.origins[key]; o != nil {
		return o
	}
	if l.origins == nil || len(l.origins) >= maxOrigins {
		l.origins = make(map[origin]*origin)
	}
	o := &origin{listener, local}
	l.origins[key] = o
	return o
}

// bookLost handles an error from the queue. When this process was out of
// descriptors, the packet's connections are gone: they are booked as received,
// lost and closed, so that the master does not wait for them; and the queue is left
// alone until there is room again, so that the master sends them to others.
func (l *loop) bookLost(err error) error {
	var lost *ipc.LostError
	if !errors.As(err, &lost) {
		return err
	}
	l.station.entry.Received.Add(uint64(lost.Count))
	if l.station.entry.AddClosed(uint64(lost.Count)) {
		l.control.send(ipc.Closed{})
	}
	l.station.entry.Lost.Add(uint64(lost.Count)) // of those closed, so after them
	l.log.Error("connections lost: out of descriptors", "lost", lost.Count, "after", intakeRest, "error", lost.Err)
	l.unwatchQueue()
	l.queue.retry = l.now() + intakeRest
	return nil
}

func (l *loop) unwatchQueue() {
	if l.queue.watched {
		_ = l.set.Del(l.station.queue) // it is in the set
		l.queue.watched = false
	}
}

// retryQueue watches the queue again if what comes has room.
func (l *loop) retryQueue() {
	if l.lacksRoom() {
		l.queue.retry = l.now() + intakeRest
		return
	}
	l.queue.retry, l.room.held = 0, false
	if err := l.set.Add(l.station.queue, poller.In, tagQueue); err != nil {
		l.log.Warn("queue not watched, retrying", "after", intakeRest, "error", err)
		l.queue.retry = l.now() + intakeRest
		return
	}
	l.queue.watched = true
}

// hasRoom tries whether there is room for a full packet: nothing else tells how many
// descriptors are free.
func (l *loop) hasRoom() bool {
	limit, err := descriptorLimit()
	if err != nil {
		return false
	}
	fds := make([]int, max(2, min(ipc.MaxConns, limit/4))) // a master under the same limit sends no more at a time
	for i := range fds {
		fd, err := unix.FcntlInt(uintptr(l.station.queue), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			fdpass.CloseAll(fds[:i])
			return false
		}
		fds[i] = fd
	}
	fdpass.CloseAll(fds)
	return true
}
