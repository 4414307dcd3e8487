package worker

import (
	"errors"
	"fmt"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/ipc"
)

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
	if c.state.phase() < phaseClosed {
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
		if c.state.phase() >= phaseClosed {
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

// packed takes note that a connection is in the packet. No event finds it now.
func (l *loop) packed(c *Conn) {
	m := l.mover
	if c.state.watch() == watched {
		_ = l.set.Del(int(c.fd)) // it is in the set
		c.state.setWatch(unwatched)
	}
	stage := ipc.StageServing
	stage.Step(ipc.EventFreeze)
	m.batch = append(m.batch, moving{c, stage})
	m.wanted--
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

// runPosts runs what waits for a connection that is about to leave, and what was
// posted before it, and reports whether nothing waits for it any more. It is
// bounded by time: then the connection stays for now.
func (l *loop) runPosts(c *Conn) bool {
	if !c.waiting() {
		return true
	}
	if !l.sendMoved() { // nothing frozen is to be touched by a callback
		return false
	}
	m := &l.messages
	m.Collect()
	n, begun := 0, l.now()
	for c.waiting() && m.Left() {
		l.open(m.Next())
		l.settle()
		l.progress()
		if n++; n%messagesPerClock == 0 && l.now()-begun > moveTime {
			break
		}
	}
	m.Done(n)
	return !c.waiting()
}

// stateKept bounds the scratch space that is kept for the next state.
const stateKept = 64 << 10

var errMarshalActs = errors.New("worker: MarshalBinary wrote, or changed a connection")
