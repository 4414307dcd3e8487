package worker

import (
	"errors"
	"fmt"
	"slices"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/killpoint"
	"github.com/usher-go/usher/ipc"
)

// parcel is the packet that the mover fills, with the connections in it. Each of them is
// frozen: it is out of the loop's set, and no callback may touch it. Between two turns
// the parcel is empty: what was packed is sent, or goes on here. It belongs to the loop's
// goroutine.
type parcel struct {
	mover   *mover
	loop    *loop
	packet  ipc.Packet
	sender  ipc.PacketConn
	batch   []moving  // the connections in the packet
	leaving []leaving // sessions that are to be told that their connections have left
	state   []byte    // scratch space: a connection's state
	large   int       // bytes of large states that this turn has made
}

// stateKept bounds the scratch space that is kept for the next state.
const stateKept = 64 << 10

var errMarshalActs = errors.New("worker: MarshalBinary wrote, or changed a connection")

// moving is one connection in the packet.
type moving struct {
	conn  *Conn
	stage ipc.Stage
}

// leaving is a session whose connection has left.
type leaving struct {
	conn    *Conn
	session LeaveSession
}

// freeze takes a connection out of the loop's set and packs it, and reports whether it
// did. If not, the connection goes on here: for now or, if its session cannot be
// marshalled, until its end.
//
// What was posted to the connection runs before, and then its Post is false, unless the
// connection goes on here. Those packed before it may be sent, or unpacked.
func (p *parcel) freeze(c *Conn) bool {
	if !c.movable() || c.movePostponed() || !p.runPosts(c) || c.busy() || !c.tryClosePosts() {
		return false
	}
	if p.pack(c) {
		return true
	}
	if c.state.phase() < phaseClosed {
		c.reopenPosts()
	}
	return false
}

// pack is freeze, after what was posted has run.
func (p *parcel) pack(c *Conn) bool {
	l := p.loop
	f := frozen{version: p.mover.version, read: frozenNever, write: frozenNever, at: p.mover.member.intake.clock.Now()}
	if session, ok := c.session.(MovableSession); ok {
		var err error
		l.marshals = true
		f.sessionState, err = c.callMarshal(session)
		l.marshals = false
		if l.corked != nil || len(l.dirty) > 0 {
			p.unpack() // MarshalBinary may have touched one of those already packed
			l.settle()
			err = errMarshalActs
		}
		if c.state.phase() >= phaseClosed {
			return false
		}
		if err != nil {
			l.log.Warn("connection stays", "conn", c.id, "peer", c.RemoteAddr(), "error", err)
			c.pin()
			return false
		}
		if c.busy() {
			return false // MarshalBinary has made it so
		}
	}
	c.describe(&f, l.turnTime())
	defer clear(f.transport) // it may hold keys
	if size := f.size(); size > ipc.MaxLargeState {
		p.large += size // to make it took as long as a state of that size
		c.postponeMove(fmt.Errorf("%d bytes, at most %d", size, ipc.MaxLargeState))
		return false
	}
	p.state = f.append(slices.Grow(p.state[:0], f.size())) // at once: what append grows leaves copies
	if f.wrapped {
		defer clear(p.state) // the packet, or a memfd, has it
	}
	envelope := ipc.Envelope{ID: c.id, Remote: c.RemoteAddr(), Local: c.origin.local, Listener: c.origin.listener, Transport: c.origin.number,
		Accepted: l.table.since(c.index).accepted()}
	if len(p.state) > ipc.MaxState {
		return p.freezeLarge(c, &envelope)
	}
	envelope.State = p.state
	if !p.packet.Add(&envelope, int(c.fd)) {
		if !p.send() {
			return false
		}
		p.packet.Add(&envelope, int(c.fd)) // into an empty packet it fits: see ipc.MaxState
	}
	p.packed(c)
	return true
}

// freezeLarge packs a connection whose state, which is in p.state, is too long for a
// packet, and sends it. The state goes by a memfd. If there is none to be had, the
// connection stays for now: there may be one later, or the state may become smaller
// when the peer reads.
func (p *parcel) freezeLarge(c *Conn, envelope *ipc.Envelope) bool {
	defer func() {
		if cap(p.state) > stateKept {
			p.state = nil
		}
	}()
	if !p.send() {
		return false
	}
	p.large += len(p.state) // whether it can be sealed or not
	memfd, err := ipc.SealState(p.state)
	if err != nil {
		c.postponeMove(err)
		return false
	}
	p.packet.AddLarge(envelope, int(c.fd), memfd) // it is empty
	p.packed(c)
	return p.send()
}

// packed takes note that a connection is in the packet, and takes it out of the loop's
// set: no event finds it now.
func (p *parcel) packed(c *Conn) {
	if c.state.watch() == watched {
		_ = p.loop.set.Del(int(c.fd)) // it is in the set
		c.state.setWatch(unwatched)
	}
	stage := ipc.StageServing
	stage.Step(ipc.EventFreeze)
	p.batch = append(p.batch, moving{c, stage})
	p.mover.wanted--
}

// send offers the packet to the kernel. If the kernel does not take it, all connections
// in it go on here, and send reports false.
func (p *parcel) send() bool {
	if len(p.batch) == 0 {
		return true
	}
	m, l := p.mover, p.loop
	killpoint.Reach(killpoint.Packed)
	err := p.sender.Send(m.member.intake.fd, &p.packet)
	if err == nil {
		killpoint.Reach(killpoint.Gone)
		for _, moving := range p.batch {
			if session, ok := moving.conn.session.(LeaveSession); ok {
				p.leaving = append(p.leaving, leaving{moving.conn, session})
			}
		}
		m.ahead += len(p.batch)
		m.given += len(p.batch)
		p.advance(ipc.EventSend)
		return true
	}
	p.advance(ipc.EventRefuse)
	p.unpack()
	l.settle()
	m.blocked, m.retry = true, l.now()+m.delay
	m.delay = min(2*m.delay, moveRetryMax)
	if !errors.Is(err, fdpass.ErrWouldBlock) && !errors.Is(err, fdpass.ErrTooManyRefs) {
		l.log.Warn("connections cannot leave, retrying", "after", m.delay, "error", err)
	}
	return false
}

// unpack makes the connections in the packet go on here, as if nothing had happened; the
// sweep comes to them again.
func (p *parcel) unpack() {
	if len(p.batch) == 0 {
		return
	}
	p.mover.wanted += len(p.batch)
	p.mover.cursor = p.batch[0].conn.index
	fdpass.CloseAll([]int{p.packet.TakeState()})
	p.packet.Reset() // the descriptors are still the connections'
	p.advance(ipc.EventResume)
}

// advance steps the stage of each connection in the packet, and does what the new stage
// calls for: one that is in the queue now is forgotten here, one that is served goes on.
func (p *parcel) advance(event ipc.Event) {
	kept := p.batch[:0]
	for _, moving := range p.batch {
		switch moving.stage.Step(event) {
		case ipc.StageQueued:
			moving.conn.gone()
		case ipc.StageServing:
			moving.conn.reopenPosts()
			moving.conn.arm()
		default:
			kept = append(kept, moving)
		}
	}
	clear(p.batch[len(kept):])
	p.batch = kept
}

// tellLeft tells sessions that their connections have left. These calls may touch
// connections that are in the packet: so it is sent, or unpacked, before.
func (p *parcel) tellLeft() {
	for len(p.leaving) > 0 {
		p.send() // or they go on here
		left := p.leaving
		p.leaving = nil
		for _, it := range left {
			it.conn.callLeave(it.session)
			p.loop.progress()
		}
		p.loop.settle()
	}
}

// runPosts runs the functions that wait for a connection that is about to leave, and the
// messages before them, and reports whether none waits for it any more. After moveTime
// it gives up, and the connection stays for now.
func (p *parcel) runPosts(c *Conn) bool {
	if !c.hasPosts() {
		return true
	}
	if !p.send() { // nothing frozen is to be touched by a callback
		return false
	}
	l := p.loop
	m := &l.messages
	m.Collect()
	n, begun := 0, l.now()
	for c.hasPosts() && m.Left() {
		l.deliver(m.Next())
		l.settle()
		l.progress()
		if n++; n%messagesPerClock == 0 && l.now()-begun > moveTime {
			break
		}
	}
	m.Done(n)
	return !c.hasPosts()
}
