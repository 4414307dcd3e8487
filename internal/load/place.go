package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// place is one of the plan's connections: the present one, which is dialled again
// when it is lost. It is the session of each.
//
//	dialling ──► open ──(with TLS: hands are shaken)──► ready ──► ending
type place struct {
	engine *engine
	conn   *worker.Conn // or nil
	tunnel *tunnel      // nil: the connection is plain, or not open
	held   bool         // it is idle, but for a request when it opens, and the probe
	heard  bool         // of: the first attempt of one that is held has ended
	open   bool
	parked bool // it waits in the engine for a request to be due
	ending bool // this side closes the connection, and nothing is wrong
	failed bool // the last attempt was in vain
	tardy  bool // it was ended because an answer did not come

	sent, answered uint64
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
	p.tunnel, p.conn, p.open, p.ending, p.tardy, p.sent, p.answered, p.position = nil, nil, false, false, false, 0, 0, position{}
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
func (p *place) take(c *worker.Conn, in []byte) (int, error) {
	e := p.engine
	now := e.now()
	used, answers, last, err := e.protocol.scan(&p.position, p.answered, in)
	p.active = now
	e.tally.Received += int64(used)
	for range answers {
		if p.answered == p.sent {
			return 0, errUnasked
		}
		e.gotAnswer(p, p.began[p.answered%uint64(len(p.began))], now)
		p.answered++
	}
	switch {
	case err != nil && p.alerted(in):
		return 0, errAlert
	case err != nil:
		return 0, err
	case used < len(in) && p.answered == p.sent:
		return 0, errUnasked
	case answers == 0:
		return used, nil
	case p.held && !e.probing && !last:
		e.heard(p)
	case last || p.answered == p.sent && (p.held || e.plan.Churn || e.over || e.spent()):
		return used, p.hangUp()
	default:
		p.fill(now)
	}
	return used, nil
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
	e := p.engine
	if rest > 0 || !e.protocol.endsAnswer(&p.position) {
		return c.Close()
	}
	if p.answered == p.sent {
		return errUnasked
	}
	now := e.now()
	p.active, p.position = now, position{}
	e.gotAnswer(p, p.began[p.answered%uint64(len(p.began))], now)
	p.answered++
	return p.hangUp()
}

// errUnasked: there was an answer too many.
var errUnasked = errors.New("an answer to no request")

// fill sends as many requests as may be under way.
func (p *place) fill(now time.Duration) {
	e := p.engine
	for p.open && p.sent-p.answered < uint64(len(p.began)) {
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
	if (e.over || e.spent()) && p.open && p.sent == p.answered {
		_ = p.hangUp() // if it is closing already, that is reported
	}
}

// hangUp closes the connection, whose end is then no error.
func (p *place) hangUp() error {
	p.ending = true
	if p.tunnel != nil {
		p.tunnel.end()
		p.flush()
	}
	return p.conn.Close()
}

// flush writes what the tunnel has to say.
func (p *place) flush() {
	if sealed := &p.engine.sealed; sealed.Len() > 0 {
		_, _ = p.conn.Write(sealed.Bytes()) // an error is the end of the connection
		sealed.Reset()
	}
}

func (p *place) send(began, now time.Duration) {
	e := p.engine
	if p.sent == p.answered {
		p.active = now // only now something is due
	}
	request := e.protocol.request(p.sent)
	p.began[p.sent%uint64(len(p.began))] = began
	p.sent++
	e.tally.Sent += int64(len(request))
	if p.tunnel != nil {
		p.tunnel.seal(request)
		p.flush()
		return
	}
	_, _ = p.conn.Write(request) // an error is the end of the connection
}

// Close is called when the connection has ended.
func (p *place) Close(_ *worker.Conn, err error) {
	p.open = false
	if p.tunnel != nil {
		p.tunnel.abandon()
	}
	switch {
	case p.tardy:
		err = errTimeout
	case p.ending:
		err = nil
	case err == nil:
		err = io.EOF
	}
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
	waits := p.sent > p.answered || p.tunnel != nil && p.tunnel.shaking()
	return p.open && waits && now-p.active > p.engine.plan.Timeout
}

// kind tells errors apart, and says what to do about those of this side.
func kind(err error) (name, advice string) {
	switch {
	case errors.Is(err, errTimeout), errors.Is(err, worker.ErrDialTimeout), errors.Is(err, unix.ETIMEDOUT), errors.Is(err, worker.ErrWriteTimeout):
		return KindTimeout, ""
	case errors.Is(err, errWrong), errors.Is(err, errUnasked), errors.Is(err, worker.ErrInputFull):
		return KindWrong, err.Error()
	case errors.As(err, new(tlsError)):
		return KindTLS, explainTLS(err)
	case errors.Is(err, errNoHandshake), errors.Is(err, errCut):
		return KindClosed, err.Error()
	case errors.Is(err, io.EOF):
		return KindClosed, ""
	case errors.Is(err, unix.ECONNREFUSED):
		return KindRefused, ""
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return KindReset, ""
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return KindDescriptors, "out of descriptors: raise the limit (ulimit -n), or use more --processes"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return KindPorts, "out of ports: those of a closed connection are free again after a while (TIME_WAIT); give more addresses to dial from with --source, or fewer connections"
	}
	return KindOther, err.Error()
}
