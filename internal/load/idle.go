package load

// This file opens the connections that are held, and asks them at the end.

// openingAtOnce bounds the idle connections that are dialled at a time: less than a
// server's backlog.
const openingAtOnce = 256

// openIdle dials as many as may be under way.
func (e *engine) openIdle() {
	for e.undialled > 0 && e.opening < openingAtOnce && !e.over {
		e.undialled--
		e.opening++
		e.idle[e.undialled].dial()
	}
}

// heard takes note, once for each idle connection, that it is there or never will be.
func (e *engine) heard(p *place) {
	if p.heard {
		return
	}
	p.heard = true
	e.opening--
	e.openIdle()
	switch {
	case e.opening > 0 || e.undialled > 0 || e.over || e.began > 0:
	case e.nobody():
		e.stop() // nobody is there
	default:
		e.send()
	}
}

// probe asks each idle connection.
func (e *engine) probe() {
	now := e.now()
	for _, p := range e.idle {
		if p.ready() {
			p.send(now, now)
		} else if p.conn != nil {
			_ = p.hangUp() // it is still being dialled, or shakes hands
		}
	}
}
