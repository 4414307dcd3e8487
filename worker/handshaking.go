package worker

import (
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/usher-go/usher/internal/proxyheader"
	"github.com/usher-go/usher/internal/tlshandshake"
	"github.com/usher-go/usher/internal/tlsrecord"
	"golang.org/x/sys/unix"
)

// handshaking is what a connection has from its taking in until its Open, if its bytes
// pass something (transports.go). It goes through those of these stages that its passage
// asks for:
//
//	header ──(the whole PROXY header is here)──► hello ──(a whole ClientHello is here)──► shaking ──► open
//
// In the first two nothing is done but to keep what has come (unfinished.raw), and the
// connection moves with that. While it shakes hands, package tlshandshake has it: crypto/tls
// computes on another goroutine, and the connection stays until that is done. A reload does
// not wait for it. Whoever takes too long, or sends something else, is refused
// (refusal.go). It belongs to the loop's goroutine.
type handshaking struct {
	conn    *Conn
	handler Handler // opens the connection
	passage *passage
	stage   stage

	headerBy time.Duration           // when the header is due, on the loop's clock
	by       time.Duration           // when all of it is
	shake    *tlshandshake.Handshake // in stageShaking; else nil

	waits        bool         // it is in the list of those that wait for their peers (handshakes)
	older, newer *handshaking // there
}

// stage is how far a connection has come. The numbers are those of frozen connections.
type stage uint8

const (
	stageHeader stage = iota
	stageHello
	stageShaking
)

const (
	// headerTime is how long a PROXY header may take, from the connection's taking in.
	headerTime = 5 * time.Second
	// handshakeTime is how long all until Open may take, unless the master says otherwise.
	handshakeTime = 10 * time.Second
)

// shakeHands begins what comes before the Open of c, which h is to open then. It is called
// once, for one that was just taken in.
func (c *Conn) shakeHands(p *passage, h Handler) {
	l := c.loop
	now := l.turnTime()
	s := &handshaking{conn: c, handler: h, passage: p, by: now + l.transports.handshakeTime}
	s.headerBy = min(s.by, now+headerTime)
	switch {
	case !p.proxied:
		s.stage = stageHello
	case !p.trusts(c.remote):
		c.addUnfinished().handshaking = s
		c.refuse(refusedUntrusted)
		return
	}
	c.waitForPeer(s)
}

// waitForPeer has c wait for the first bytes of the stage that s says.
func (c *Conn) waitForPeer(s *handshaking) {
	c.addUnfinished().handshaking = s
	due := s.by
	if s.stage == stageHeader {
		due = s.headerBy
	}
	c.setPhaseDeadline(due)
	c.loop.handshakes.await(s)
}

// readHandshaking is read for a connection that is not open yet.
func (c *Conn) readHandshaking() {
	l, s, have := c.loop, c.unfinished.handshaking, 0
	in := l.input[:cap(l.input)]
	have = copy(in, c.unfinished.raw) // less than maxUnit
	n, errno := c.recv(in[have:min(len(in), have+len(l.input))])
	switch {
	case errno == unix.EAGAIN:
		return
	case errno != 0:
		c.refuse(s.closed(have > 0, os.NewSyscallError("read", errno)))
		return
	}
	c.dropRaw()
	s.took(in[:have+n], n == 0)
}

// took acts on what has come: all of it but what was fed. eof says that nothing follows,
// for now: the socket says so again.
func (s *handshaking) took(in []byte, eof bool) {
	c := s.conn
	if s.stage == stageHeader {
		n, err := c.takeHeader(in)
		switch {
		case err != nil:
			c.refuse(refusedHeader(err))
			return
		case n == 0 && eof:
			c.refuse(s.closed(len(in) > 0, nil))
			return
		case n == 0:
			c.keepRawInput(in)
			return
		}
		in = in[n:]
		if s.passage.config == nil {
			c.opens(in)
			return
		}
		s.stage = stageHello
		c.setPhaseDeadline(s.by)
	}
	if s.stage == stageHello {
		whole, err := tlshandshake.WholeHello(in)
		switch {
		case err != nil:
			c.refuse(refusedHandshake(err))
		case whole:
			s.start(in)
		case eof:
			c.refuse(s.closed(len(in) > 0, nil))
		default:
			c.keepRawInput(in)
		}
		return
	}
	more := s.shake.Feed(in)
	if eof {
		s.shake.EOF()
	}
	if !more || eof {
		c.state.hold(holdWork) // until the next news
		c.touch()
	}
	c.loop.mindYield()
}

// takeHeader has c be for whom the PROXY header at the beginning of in says. It returns
// the header's length, 0 while not all of it is here.
func (c *Conn) takeHeader(in []byte) (int, error) {
	n, err := proxyheader.Length(in)
	if n == 0 || err != nil {
		return 0, err
	}
	header, err := proxyheader.Parse(in[:n])
	if err != nil {
		return 0, err
	}
	c.useProxy(newProxy(&header))
	return n, nil
}

// keepRawInput keeps what is not enough to go on.
func (c *Conn) keepRawInput(in []byte) {
	if len(in) > 0 {
		c.addUnfinished().raw = append(c.loop.buffers.Get(len(in)), in...)
		c.loop.grew()
	}
}

// start gives a connection with a ClientHello to the pool.
func (s *handshaking) start(hello []byte) {
	c, l := s.conn, s.conn.loop
	l.handshakes.forget(s)
	s.stage = stageShaking
	l.loosen()
	wake := func() { l.messages.Put(message{f: s.news}) }
	s.shake = l.transports.pool.Start(s.passage.config, hello, netAddr(c.remote, c.port), netAddr(c.origin.local.Addr(), c.origin.local.Port()), wake)
	l.mindYield()
}

// news is called on the loop's goroutine when the handshake may have something to send, may
// be fed again, waits for its peer, or is done.
func (s *handshaking) news(*Conn) {
	c := s.conn
	if c.state.phase() != phaseHandshaking || c.unfinished.handshaking != s {
		return // refused meanwhile, or closed
	}
	out, done := s.shake.Take()
	if len(out) > 0 {
		if c.sendWire(out) != nil {
			return // it has failed
		}
	}
	if !done {
		if !s.waits {
			c.loop.handshakes.await(s) // as a rule, the server's flight is out
		}
		if c.ending() {
			return // as the oldest of too many
		}
		c.state.unhold(holdWork)
		c.touch()
		return
	}
	result, err := s.shake.Result()
	s.shake = nil
	if err != nil {
		c.refuse(refusedHandshake(err))
		return
	}
	c.shook(result)
}

// shook gives c the transport that its handshake has come to, and opens it.
func (c *Conn) shook(r *tlshandshake.Result) {
	l := c.loop
	state := TLSState{
		Version: r.Version, CipherSuite: r.CipherSuite, ALPN: r.ALPN, ServerName: r.ServerName,
		PeerCertificates: r.PeerCertificates, Resumed: r.Resumed,
	}
	l.wire = appendFacts(l.wire[:0], &state, l.transports.caHash())
	facts, err := l.facts.intern(l.wire)
	if err != nil {
		r.Layer.Wipe()
		c.refuse(refusedHandshake(err))
		return
	}
	c.useTLS(r.Layer, facts)
	l.keepSwept()
	d := c.origin.transport.decode(r.Rest, false)
	if d.err != nil { // what came before it is lost with a peer that cannot be understood
		c.sendReply(&d)
		c.refuse(refusedHandshake(d.err))
		return
	}
	l.refusals.shook(state.Resumed)
	c.keepRaw(r.Rest, &d)
	if d.end {
		c.state.owe(dueEnd)
	}
	c.opens(d.plain)
}

// useTLS gives c a record layer, and facts, of which it is one of the users.
func (c *Conn) useTLS(layer *tlsrecord.Layer, facts *tlsFacts) {
	l := c.loop
	s := l.freshLayers.take(l.table.live)
	layer.Move(&s.layer)
	s.layer.SetCache(&l.ciphers.cache)
	s.origin = *c.origin
	s.transport, s.tls = tlsTransport{&s.layer}, facts
	c.origin = &s.origin
	c.state.mark(traitWrapped)
}

// opens has c opened, now that all is ready that its bytes pass. in is plain input that has
// come already; Data is given it next.
func (c *Conn) opens(in []byte) {
	l, h := c.loop, c.unfinished.handshaking.handler
	if len(in) > 0 {
		c.addUnfinished().in = append(l.buffers.Get(len(in)), in...)
		c.state.owe(dueReplay)
		l.grew()
	}
	c.becomesOpen()
	if err := c.callOpen(h); err != nil {
		c.refused(err)
	} else if l.drains {
		c.askToDrain()
	}
	c.touch()
}

// becomesOpen ends what comes before Open.
func (c *Conn) becomesOpen() {
	c.stopShaking()
	c.state.step(eventReady)
	c.state.unhold(holdWork)
	if c.unfinished != nil {
		c.unfinished.deadlines.phase = 0
		c.releaseUnfinished()
	}
	c.setIdle(c.loop.idleMS)
	c.schedule()
}

// stopShaking ends the handshake of c, whatever it has come to.
func (c *Conn) stopShaking() {
	if c.unfinished == nil || c.unfinished.handshaking == nil {
		return
	}
	s := c.unfinished.handshaking
	c.unfinished.handshaking = nil
	c.loop.handshakes.forget(s)
	if s.shake != nil {
		s.shake.Abandon()
		s.shake = nil
	}
}

// netAddr is an address as crypto/tls shows it to whom it asks.
func netAddr(addr netip.Addr, port uint16) net.Addr {
	if !addr.IsValid() {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, port))
}
