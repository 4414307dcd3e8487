package worker

// How a connection that was engaged leaves while connections move: as soon as its request is
// over, and before the next one begins. Under load it is at rest for a moment only, and the
// mover's sweep might not meet that for long. The connection is held from disengage to the
// end of the turn (holdLeaving); then leave has it frozen, or it goes on here. All of this
// runs on the loop's goroutine.

// release is called when c is engaged no more. It reports whether c is to leave now.
func (m *mover) release(c *Conn) bool {
	if m.retry == never || m.wanted == 0 || !c.movable() || c.movePostponed() {
		return false
	}
	m.released = append(m.released, c)
	return true
}

// leave moves those that were released in this turn, as far as the window and the queue
// let it. The others go on here, and the sweep comes by soon; or, when time is up, they
// are the next turn's first business.
func (m *mover) leave() {
	l, p := m.member.loop, m.parcel
	retry, delay := m.retry, m.delay
	m.blocked, p.large = false, 0
	begun, n := l.now(), 0
	for ; n < len(m.released); n++ { // more may be released by what is posted to these
		if n > 0 && l.now()-begun > moveTime {
			break
		}
		c := m.released[n]
		if c.state.held(holdLeaving) && !m.blocked && m.retry != never && m.wanted > 0 && m.hasRoom() {
			p.freeze(c) // or not: then it is held still, below
		}
		l.progress()
	}
	if n > 0 {
		p.send() // or they are held still
	}
	for _, c := range m.released[:n] {
		c.stayOn()
	}
	rest := copy(m.released, m.released[n:])
	clear(m.released[rest:])
	m.released = m.released[:rest]
	if retry != never && m.retry != never {
		m.retry, m.delay = min(m.retry, retry), delay // a busy worker does not put the sweep off
	}
	if m.wanted == 0 {
		m.retry = 0 // the order is to be answered
	}
	l.settle()
	p.tellLeft()
}

// hasRoom reports whether the window has room for one more.
func (m *mover) hasRoom() bool {
	if m.ahead+len(m.parcel.batch) < m.window {
		return true
	}
	if m.parcel.send() && m.taken() {
		return true
	}
	m.blocked = true
	m.retry = m.member.loop.now() + m.delay
	return false
}

// stayOn has a connection go on here that was to leave, unless it has left or ended.
func (c *Conn) stayOn() {
	if !c.state.held(holdLeaving) {
		return
	}
	c.state.unhold(holdLeaving)
	if c.ending() {
		return
	}
	c.state.owe(dueReplay)
	if c.loop.drains {
		c.state.owe(dueDrain)
	}
	c.touch()
}
