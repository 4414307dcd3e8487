package worker

import (
	"encoding"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/ipc"
)

// How a connection leaves for another worker. A connection at rest, outside of
// any callback, goes through
//
//	serving ──(out of the epoll set, packed)──► frozen ──(the kernel took the packet)──► queued: gone from here
//	   ▲                                          │
//	   └───────(would block: as if nothing had been)
//
// ipc.Stage is the rule of it. The packet in the kernel is the point of
// ownership: until then the connection is this worker's and can go on here; from
// then on this worker has no copy of the descriptor, and its session gets no
// further call. Bytes that arrive meanwhile wait in the kernel.
//
// A state that is too long for a packet is sealed in a memfd, of which there is
// one at a time: the connection is alone in its packet, which is offered at once.

// MovableSession is a Session that can go on in another worker: as the state
// that MarshalBinary returns, from which the session that Open makes there is
// restored by UnmarshalBinary. A DataFunc has no state and needs neither.
//
// The session that has left gets no further call, Close neither: its Conn's
// methods return ErrClosed, and Post false.
//
// MarshalBinary may be called in vain: if the connection cannot leave now, it
// goes on here. An error has it stay and finish; so has a state beyond 64 MiB with
// all that is buffered, for as long as it is: that is looked at again at growing
// intervals, of 30 seconds at most. What is more than about 15 KiB
// travels in memory of its own, of which one turn of the loop moves some MiB.
// Timers do not travel: the session arms its own again in UnmarshalBinary.
type MovableSession interface {
	Session
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// stateKept bounds the scratch space that is kept for the next state.
const stateKept = 64 << 10

var errMarshalActs = errors.New("worker: MarshalBinary wrote, or changed a connection")

// LeaveSession is a Session that hears that its connection has left for another
// worker: the last call, in the place of Close, for a program that keeps a list of
// its connections to take this one off. The Conn's methods return ErrClosed.
type LeaveSession interface {
	Session
	Leave(c *Conn)
}

// movable reports whether a connection could move, if not now then later.
func (c *Conn) movable() bool {
	return c.session != nil && !c.state.has(stateStays|stateDialled)
}

// stay takes note that the connection does not move.
func (c *Conn) stay() {
	c.state |= stateStays
	c.loop.station.entry.Staying.Add(1)
}

// decide is called when the session is there, and says whether it moves.
func (c *Conn) decide() {
	if c.state.has(stateDialled | stateDead) {
		return // it is this worker's, whatever its session; or Open has aborted it
	}
	switch c.session.(type) {
	case DataFunc, MovableSession:
	default:
		c.stay()
	}
}

// restless reports whether a connection cannot move now, though it is movable:
// it ends, or something of it would be lost.
func (c *Conn) restless() bool {
	if c.state.has(stateBroken|stateDead|stateLinger|stateHungUp|stateHeld) || c.waiting() {
		return true
	}
	_, plain := c.session.(DataFunc)
	return c.left != nil && (plain && c.left.timers != nil || c.left.cause != nil || c.left.files != nil || c.left.flowing != nil || c.left.deadlines.end != 0)
}

// freeze takes a connection out of the epoll set and packs it, or returns false
// and changes nothing. What was posted to it has run by then, and from then on
// Post is false, unless it stays after all.
func (l *loop) freeze(c *Conn) bool {
	if !c.movable() || c.restsLarge() || !l.runPosts(c) || c.restless() || !c.shutPosts() {
		return false
	}
	if l.pack(c) {
		return true
	}
	if !c.state.has(stateDead) {
		c.takePosts()
	}
	return false
}

// pack is freeze, but for what is posted.
func (l *loop) pack(c *Conn) bool {
	m := l.mover
	f := frozen{version: l.stateVersion, read: frozenNever, write: frozenNever, at: l.queue.clock.Now()}
	if session, ok := c.session.(MovableSession); ok {
		var err error
		f.sessionState, err = c.callMarshal(session)
		if l.corked != nil || len(l.dirty) > 0 {
			l.thawBatch() // it may have touched one of those already packed
			l.settle()
			err = errMarshalActs
		}
		if c.state.has(stateDead) {
			return false
		}
		if err != nil {
			l.log.Warn("connection stays", "conn", c.id, "peer", c.RemoteAddr(), "error", err)
			c.stay()
			return false
		}
		if c.restless() {
			return false // since just now
		}
	}
	c.describe(&f, l.turnTime())
	if size := f.size(); size > ipc.MaxLargeState {
		m.large += size // to make it took that time
		c.staysLarge(fmt.Errorf("%d bytes, at most %d", size, ipc.MaxLargeState))
		return false
	}
	m.state = f.append(m.state[:0])
	envelope := ipc.Envelope{ID: c.id, Remote: c.RemoteAddr(), Local: c.origin.local, Listener: c.origin.listener}
	if len(m.state) > ipc.MaxState {
		return l.freezeLarge(c, &envelope)
	}
	envelope.State = m.state
	if !m.packet.Add(&envelope, int(c.fd)) {
		if !l.sendMoved() {
			return false
		}
		m.packet.Add(&envelope, int(c.fd)) // into an empty packet it fits: see ipc.MaxState
	}
	l.packed(c)
	return true
}

// freezeLarge packs a connection whose state, in the mover's scratch space, is
// too long for a packet, and sends it. Without a memfd for it, it stays for now:
// there may be one later, or the state become smaller when its peer reads.
func (l *loop) freezeLarge(c *Conn, envelope *ipc.Envelope) bool {
	m := l.mover
	defer func() {
		if cap(m.state) > stateKept {
			m.state = nil
		}
	}()
	if !l.sendMoved() {
		return false
	}
	m.large += len(m.state) // sealed or not, it took that time
	memfd, err := ipc.SealState(m.state)
	if err != nil {
		c.staysLarge(err)
		return false
	}
	m.packet.AddLarge(envelope, int(c.fd), memfd) // it is empty
	l.packed(c)
	return l.sendMoved()
}

// largeRestMin and largeRestMax bound how long a connection is left alone whose
// state was too large to go: to make the state is work, and most likely in vain.
const (
	largeRestMin = moveAgain
	largeRestMax = 30 * time.Second
)

// staysLarge has a connection stay because of its large state, for twice as long
// as the time before.
func (c *Conn) staysLarge(err error) {
	l := c.loop
	if !c.state.has(stateLarge) {
		l.log.Warn("connection stays for now, its state is large", "conn", c.id, "peer", c.RemoteAddr(), "error", err)
	}
	c.state |= stateLarge
	rest := &c.leave().large
	rest.pause = min(max(2*rest.pause, largeRestMin), largeRestMax)
	rest.until = l.turnTime() + rest.pause
}

// restsLarge reports whether c is left alone because its state was large.
func (c *Conn) restsLarge() bool { return c.left != nil && c.loop.turnTime() < c.left.large.until }

// largeRest is how long a connection with a large state is left alone, and until
// when, on the loop's clock.
type largeRest struct{ pause, until time.Duration }

// packed takes note that a connection is in the packet. No event finds it now.
func (l *loop) packed(c *Conn) {
	m := l.mover
	if c.state.has(stateInSet) {
		_ = l.set.Del(int(c.fd)) // it is in the set
		c.state &^= stateInSet
	}
	stage := ipc.StageServing
	stage.Step(ipc.EventFreeze)
	m.batch = append(m.batch, moving{c, stage})
	m.wanted--
}

// describe fills in all of f but the session's state.
func (c *Conn) describe(f *frozen, now time.Duration) {
	for _, pair := range frozenStates {
		if c.state.has(pair.state) {
			f.flags |= pair.flag
		}
	}
	if c.alarm != 0 {
		a := c.loop.wheel.Value(c.alarm)
		if f.idleMS = a.idleMS; f.idleMS != 0 { // else nobody kept account
			f.quiet = now - a.active
		}
	}
	if c.left == nil {
		return
	}
	f.in, f.out = c.left.in, c.left.out[c.left.written:]
	if d := c.left.deadlines.read; d != 0 {
		f.read = d - now
	}
	if d := c.left.deadlines.write; d != 0 {
		f.write = d - now
	}
}

// sendMoved offers the packet to the kernel. If it does not take it, all in it
// go on here, and it reports false.
func (l *loop) sendMoved() bool {
	m := l.mover
	if len(m.batch) == 0 {
		return true
	}
	killpoint.Reach(killpoint.Packed)
	err := m.courier.Send(l.station.queue, &m.packet)
	if err == nil {
		killpoint.Reach(killpoint.Gone)
		for _, moving := range m.batch {
			if session, ok := moving.conn.session.(LeaveSession); ok {
				m.leaving = append(m.leaving, leaving{moving.conn, session})
			}
		}
		m.ahead += len(m.batch)
		m.given += len(m.batch)
		l.advance(ipc.EventSend)
		return true
	}
	l.advance(ipc.EventRefuse)
	l.thawBatch()
	l.settle()
	m.blocked, m.retry = true, l.now()+m.delay
	m.delay = min(2*m.delay, moveRetryMax)
	if !errors.Is(err, fdpass.ErrWouldBlock) && !errors.Is(err, fdpass.ErrTooManyRefs) {
		l.log.Warn("connections cannot leave, retrying", "after", m.delay, "error", err)
	}
	return false
}

// thawBatch has those in the packet go on here, as if nothing had been; the
// sweep comes to them again.
func (l *loop) thawBatch() {
	m := l.mover
	if len(m.batch) == 0 {
		return
	}
	m.wanted += len(m.batch)
	m.cursor = m.batch[0].conn.index
	fdpass.CloseAll([]int{m.packet.TakeState()})
	m.packet.Reset() // the descriptors are still the connections'
	l.advance(ipc.EventResume)
}

// advance has an event happen to all in the packet, and does what their new stage
// calls for: what is the kernel's is forgotten, what is served goes on.
func (l *loop) advance(event ipc.Event) {
	m := l.mover
	kept := m.batch[:0]
	for _, moving := range m.batch {
		switch moving.stage.Step(event) {
		case ipc.StageQueued:
			moving.conn.gone()
		case ipc.StageServing:
			moving.conn.takePosts()
			moving.conn.arm()
		default:
			kept = append(kept, moving)
		}
	}
	clear(m.batch[len(kept):])
	m.batch = kept
}

// tellLeft tells sessions that their connections have left. What these calls touch
// may be in the packet: so that is sent, or given up, before.
func (l *loop) tellLeft() {
	m := l.mover
	for len(m.leaving) > 0 {
		l.sendMoved() // or they go on here
		left := m.leaving
		m.leaving = nil
		for _, it := range left {
			it.conn.callLeave(it.session)
			l.progress()
		}
		l.settle()
	}
}

// gone forgets a connection that is another's now; the send has closed its
// descriptor. Its posts have run, and no more are taken.
func (c *Conn) gone() {
	l := c.loop
	c.stopTiming()
	if c.left != nil {
		l.buffers.Put(c.left.in)
		l.buffers.Put(c.left.out)
		l.freeLeftovers(c.left)
		c.left = nil
	}
	l.table.remove(c)
	atomic.StoreInt32(&c.fd, -1)
	c.session = nil
	c.state = stateDead | stateReported
}
