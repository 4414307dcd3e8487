package load

import "time"

// This file sends requests. One that is long goes in pieces, while answers are read: the
// loop stops reading a connection that has more output than it may, and two sides that
// both stop reading until they are rid of their output would wait for each other.

const (
	// pieceSize is less than the output with which the loop stops reading.
	pieceSize = 64 << 10
	// mostPieces are sent at a time, so that other connections have their turn.
	mostPieces = 16
	// pushEvery is how often a connection is looked at that has a piece to take: the
	// loop tells nobody of it who has not been stopped reading.
	pushEvery = time.Millisecond
)

// fill sends as many requests as may be under way.
func (p *place) fill(now time.Duration) {
	e := p.engine
	for p.open && len(p.unsent) == 0 && p.sent-p.answered < uint64(len(p.began)) {
		began, ok := now, e.plan.Churn // whose request was issued before it dialled
		if !ok {
			began, ok = e.issue(p, now)
		}
		if !ok {
			break
		}
		if p.send(began, now); e.plan.Churn {
			break
		}
	}
	if (e.over || e.spent()) && p.open && p.settled() {
		_ = p.hangUp() // if it is closing already, that is reported
	}
}

// settled reports whether nothing is under way.
func (p *place) settled() bool { return p.sent == p.answered && len(p.unsent) == 0 }

func (p *place) send(began, now time.Duration) {
	e := p.engine
	if p.sent == p.answered {
		p.active = now // only now something is due
	}
	request := e.protocol.request(p.sent)
	p.began[p.sent%uint64(len(p.began))] = began
	p.sent++
	e.tally.Sent += int64(len(request))
	if len(request) <= pieceSize {
		p.write(request)
		return
	}
	p.unsent = request // of which all places have the same bytes, but for the first ones
	p.push(now)
}

// push sends what the connection takes of a long request, and comes back for the rest.
func (p *place) push(now time.Duration) {
	for range mostPieces {
		if len(p.unsent) == 0 || p.conn.Buffered() >= pieceSize {
			break
		}
		piece := p.unsent[:min(pieceSize, len(p.unsent))]
		p.unsent = p.unsent[len(piece):]
		p.active = now
		p.write(piece)
	}
	if len(p.unsent) > 0 && p.pusher == nil {
		p.pusher = p.engine.dialer.After(pushEvery, p.pushOn)
	}
}

func (p *place) pushOn() {
	p.pusher = nil
	now := p.engine.now()
	if p.push(now); len(p.unsent) == 0 {
		_ = p.next(now, false) // if it is closing already, that is reported
	}
}

// dropUnsent forgets what is left of a long request.
func (p *place) dropUnsent() {
	p.unsent = nil
	if p.pusher != nil {
		p.pusher.Stop()
		p.pusher = nil
	}
}

// write sends through the tunnel, if there is one. An error is the end of the connection.
func (p *place) write(b []byte) {
	if p.tunnel != nil {
		p.tunnel.seal(b)
		p.flush()
		return
	}
	_, _ = p.conn.Write(b)
}

// flush writes what the tunnel has to say.
func (p *place) flush() {
	if sealed := &p.engine.sealed; sealed.Len() > 0 {
		_, _ = p.conn.Write(sealed.Bytes()) // an error is the end of the connection
		sealed.Reset()
	}
}

// hangUp closes the connection, whose end is then no error.
func (p *place) hangUp() error {
	p.ending = true
	p.dropUnsent()
	if p.tunnel != nil {
		p.tunnel.end()
		p.flush()
	}
	return p.conn.Close()
}
