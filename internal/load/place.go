package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/usher-go/usher/worker"
)

// place is one of the plan's connections: the present one, which is dialled again
// when it is lost. It is the session of each.
//
//	dialling ──► open ──(with TLS: hands are shaken)──► ready ──► ending
type place struct {
	engine  *engine
	conn    *worker.Conn // or nil
	tunnel  *tunnel      // nil: the connection is plain, or not open
	held    bool         // it is idle, but for a request when it opens, and the probe
	heard   bool         // of: the first attempt of one that is held has ended
	open    bool
	parked  bool // it waits in the engine for a request to be due
	ending  bool // this side closes the connection, and nothing is wrong
	failed  bool // the last attempt was in vain
	tardy   bool // it was ended because an answer did not come
	begun   bool // a part of an answer has come
	leaving bool // all has come, and the server is to end the connection

	sent, answered uint64
	unsent         []byte          // of a long request
	pusher         *worker.Timer   // that sends it; or nil
	began          []time.Duration // by number of the request, modulo its length: when it was sent, or due
	position       position
	active         time.Duration // the last progress
	dialled        time.Duration
	shaking        time.Duration // when the handshake began
	due            time.Duration // of churn's one request
}

// retryAfter is how long a place rests whose attempt was in vain.
const retryAfter = 100 * time.Millisecond

func newPlace(e *engine, held bool) *place {
	return &place{engine: e, held: held, began: make([]time.Duration, e.plan.Pipeline)}
}

// dial asks for a connection.
func (p *place) dial() {
	e := p.engine
	p.tunnel, p.conn, p.open, p.ending, p.tardy, p.begun, p.leaving = nil, nil, false, false, false, false, false
	p.sent, p.answered, p.position = 0, 0, position{}
	*p.count()++
	p.dialled = e.now()
	p.active = p.dialled
	p.conn = e.dialer.Dial(e.destination(), p, p.lost)
}

// Open is called when the connection is there.
func (p *place) Open(c *worker.Conn) (worker.Session, error) {
	e := p.engine
	now := e.now()
	p.open, p.failed = true, false
	p.conn, p.active = c, now
	e.connected(p, now)
	if e.tls == nil {
		p.begin(now)
		return p, nil
	}
	p.shaking = now
	p.tunnel = newTunnel(e.tls, &e.sealed)
	p.flush()
	return p, nil
}

// ready reports whether requests can be sent.
func (p *place) ready() bool { return p.open && (p.tunnel == nil || p.tunnel.established()) }

// begin sends the first requests.
func (p *place) begin(now time.Duration) {
	if p.held {
		p.send(now, now) // one, so that no more are dialled than the server accepts
	} else {
		p.fill(now)
	}
}

// Data takes what has come.
func (p *place) Data(c *worker.Conn, in []byte) (int, error) {
	if p.tunnel == nil {
		return p.take(c, in)
	}
	return len(in), p.decrypt(c, in)
}

// decrypt takes what has come through the tunnel.
func (p *place) decrypt(c *worker.Conn, raw []byte) error {
	e := p.engine
	shaking := p.tunnel.shaking()
	plain, err := p.tunnel.open(e.plain[:0], raw)
	e.plain = plain
	p.active = e.now()
	p.flush()
	if shaking && p.tunnel.established() {
		e.shaken(p, p.active)
		p.begin(p.active)
	}
	if len(plain) > 0 && !p.ending {
		used, wrong := p.take(c, plain)
		if wrong != nil {
			return wrong
		}
		p.tunnel.keep(plain[used:])
	}
	if err == io.EOF {
		return p.finished(c, len(p.tunnel.rest))
	}
	return err
}

// take verifies answers, and sends what may follow. It returns how much it has used.
func (p *place) take(c *worker.Conn, in []byte) (used int, err error) {
	e := p.engine
	now := e.now()
	p.active = now
	before, last := p.answered, false
	for more := true; more; {
		var n, answers int
		n, answers, last, err = e.protocol.scan(&p.position, p.answered, in[used:])
		used += n
		e.tally.Received += int64(n)
		for range answers {
			if err := p.gotAnswer(now); err != nil {
				return 0, err
			}
		}
		if more = errors.Is(err, errStatus); more {
			if err := p.gotRefusal(err); err != nil {
				return 0, err
			}
			more, err = !last, nil
		}
	}
	p.begun = used < len(in) || p.position != position{}
	switch {
	case err != nil && p.alerted(in):
		return 0, errAlert
	case err != nil:
		return 0, err
	case used < len(in) && p.sent == p.answered:
		return 0, errUnasked
	case p.answered == before:
		if len(p.unsent) > 0 {
			p.push(now) // the server may have taken more
		}
		return used, nil
	case p.held && !e.probing && !last:
		e.heard(p)
	}
	return used, p.next(now, last)
}

// next does what may follow when answers have come, the last of the connection perhaps,
// or when a long request is out.
func (p *place) next(now time.Duration, last bool) error {
	e := p.engine
	enough := e.over || e.plan.Churn || e.spent()
	if p.held {
		enough = e.probing
	}
	switch {
	case last || enough && p.settled():
		return p.leave()
	case !p.held && !e.plan.Churn:
		p.fill(now)
	}
	return nil
}

// gotAnswer takes note of an answer that is right.
func (p *place) gotAnswer(now time.Duration) error {
	if p.answered == p.sent {
		return errUnasked
	}
	p.engine.gotAnswer(p, p.began[p.answered%uint64(len(p.began))], now)
	p.answered++
	return nil
}

// gotRefusal takes note of an answer that is none of those that are wanted.
func (p *place) gotRefusal(err error) error {
	if p.answered == p.sent {
		return errUnasked
	}
	p.engine.count(err)
	p.answered++
	return nil
}

// leave ends the connection behind its last answer, or leaves that to the server.
func (p *place) leave() error {
	e := p.engine
	if p.leaving = e.plan.Close && !e.over && p.settled(); p.leaving {
		return nil
	}
	e.giveBack(p.sent - p.answered) // what follows a last answer the server does not serve
	return p.hangUp()
}

// EOF is called when the server has finished sending.
func (p *place) EOF(c *worker.Conn, rest []byte) error {
	switch {
	case p.alerted(rest):
		return errAlert
	case p.tunnel == nil:
		return p.finished(c, len(rest))
	case p.tunnel.shaking():
		return errNoHandshake
	case !p.tunnel.ended:
		return errCut
	}
	return c.Close() // it has said so before
}

var (
	errNoHandshake = fmt.Errorf("%w: the server has ended the connection during the handshake", io.EOF)
	errCut         = fmt.Errorf("%w: the server has ended the connection without a close_notify", io.EOF)
)

// alerted reports whether a server that wants TLS has said so to a plain client: by an alert
// (RFC 8446, section 5.1).
func (p *place) alerted(in []byte) bool {
	return p.tunnel == nil && p.answered == 0 && bytes.HasPrefix(in, []byte{21, 3})
}

var errAlert = tlsError{errors.New("the server answers with an alert of TLS: give --tls")}

// finished takes note that the server has finished sending, with so many bytes that are
// of no use, which may be how it says that the answer is whole.
func (p *place) finished(c *worker.Conn, rest int) error {
	if p.leaving && rest == 0 {
		return p.hangUp()
	}
	answer, err := p.engine.protocol.end(&p.position)
	switch {
	case rest > 0 || !answer:
		return c.Close()
	case errors.Is(err, errStatus):
		err = p.gotRefusal(err)
	case err == nil:
		err = p.gotAnswer(p.engine.now())
	}
	if err != nil {
		return err
	}
	p.engine.giveBack(p.sent - p.answered)
	return p.hangUp()
}

// errUnasked: there was an answer too many.
var errUnasked = errors.New("an answer to no request")

// Close is called when the connection has ended.
func (p *place) Close(_ *worker.Conn, err error) {
	p.open = false
	if p.tunnel != nil {
		p.tunnel.abandon()
	}
	switch {
	case p.tardy && p.leaving:
		err = errLingers
	case p.tardy:
		err = errTimeout
	case p.ending:
		err = nil
	case err == nil:
		err = p.broken(io.EOF)
	default:
		err = p.broken(err)
	}
	p.dropUnsent()
	p.ended(err)
}

// lost is called when it has not come to be.
func (p *place) lost(err error) {
	p.failed = true
	if p.ending {
		err = nil
	}
	p.ended(err)
}

func (p *place) ended(err error) {
	e := p.engine
	p.conn = nil
	*p.count()--
	if err != nil {
		e.count(err)
	}
	e.ended(p, err)
}

// count is where it counts while it has a connection.
func (p *place) count() *int {
	if p.held {
		return &p.engine.holding
	}
	return &p.engine.busy
}

// late reports whether an answer, or the connection, is overdue.
func (p *place) late(now time.Duration) bool {
	waits := !p.settled() || p.leaving || p.tunnel != nil && p.tunnel.shaking()
	return p.open && waits && now-p.active > p.engine.plan.Timeout
}
