package worker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/usher-go/usher/internal/tlsrecord"
)

// What is frozen of a connection that passes something: the transport's state of its form
// (frozen.go). It begins with what it is of (all numbers little-endian):
//
//	plain behind a PROXY header     u8 1, then the header's facts (Proxy.append)
//	not open yet                    u8 2, u8 stage, i64 nanoseconds until its header is due,
//	                                i64 until all is, then the header's facts, if it has come
//	TLS                             u8 3, u32 length of the header's facts, u32 length of
//	                                the handshake's, both (appendFacts), then the state of
//	                                the record layer, with its secrets
//	in tests, any other transport   u8 0, then what that has written
//
// What comes from another worker is not trusted to be well-formed: see thawPassage.
type passageKind uint8

const (
	passageOther passageKind = iota
	passagePlain
	passageWaiting
	passageTLS
)

const (
	waitingFixed = 1 + 1 + 8 + 8
	tlsFixed     = 1 + 4 + 4
)

var (
	errPassage = errors.New("malformed state of a connection's transport")
	// errNoTransport is for tests' transports alone: any worker goes on with the others.
	errNoTransport = errors.New("worker: the connection has a transport, which this program has not")
)

// passes reports whether there is more to say of c than of a plain connection.
func (c *Conn) passes() bool {
	return c.state.is(traitWrapped) || c.origin.proxy != nil || c.state.phase() == phaseHandshaking
}

// freezePassage appends to dst what is to be frozen of what c passes. It changes nothing.
func (c *Conn) freezePassage(dst []byte, now time.Duration) []byte {
	o := c.origin
	switch t := o.transport.(type) {
	case nil:
	case tlsTransport:
		dst = append(dst, byte(passageTLS))
		at := len(dst)
		dst = append(dst, make([]byte, tlsFixed-1)...)
		dst = o.proxy.append(dst)
		binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-(tlsFixed-1)))
		binary.LittleEndian.PutUint32(dst[at+4:], uint32(len(o.tls.encoded)))
		dst = append(dst, o.tls.encoded...)
		return t.freeze(dst)
	default:
		return t.freeze(append(dst, byte(passageOther)))
	}
	if c.state.phase() != phaseHandshaking {
		return o.proxy.append(append(dst, byte(passagePlain)))
	}
	s := c.unfinished.handshaking
	dst = append(dst, byte(passageWaiting), byte(s.stage))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.headerBy-now))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.by-now))
	return o.proxy.append(dst)
}

// thawPassage gives c, which was just taken in, what it passed in another worker. If it was
// not open there, it goes on to wait for its peer, and open is false: h is to open it later.
func (c *Conn) thawPassage(f *frozen, h Handler) (open bool, err error) {
	b := f.transport
	if len(b) == 0 {
		return false, errPassage
	}
	switch passageKind(b[0]) {
	case passagePlain:
		err = c.thawProxy(b[1:])
		if err == nil && (c.origin.proxy == nil || len(f.raw) > 0) {
			err = errPassage
		}
		return true, err
	case passageWaiting:
		return false, c.thawWaiting(f, h)
	case passageTLS:
		return true, c.thawTLS(b)
	case passageOther:
		if c.loop.transports.thaw == nil {
			return true, errNoTransport
		}
		t, err := c.loop.transports.thaw(b[1:])
		if err == nil {
			c.wrap(t)
		}
		return true, err
	}
	return false, fmt.Errorf("%w: of kind %d", errPassage, b[0])
}

// thawProxy has c be for whom its PROXY header said. The addresses came with its envelope.
func (c *Conn) thawProxy(facts []byte) error {
	p, err := decodeProxy(facts)
	if err != nil || p == nil {
		return err
	}
	if !p.Local {
		p.Source, p.Destination = c.RemoteAddr(), c.origin.local
	}
	c.useProxy(p)
	return nil
}

// thawTLS gives c the record layer that it had.
func (c *Conn) thawTLS(b []byte) error {
	if len(b) < tlsFixed {
		return errPassage
	}
	header, facts := int64(binary.LittleEndian.Uint32(b[1:])), int64(binary.LittleEndian.Uint32(b[5:]))
	b = b[tlsFixed:]
	if header+facts > int64(len(b)) {
		return errPassage
	}
	if err := c.thawProxy(b[:header]); err != nil {
		return err
	}
	layer, err := tlsrecord.Thaw(b[header+facts:])
	if err != nil {
		return err
	}
	interned, err := c.loop.facts.intern(b[header : header+facts])
	if err != nil {
		layer.Wipe()
		return err
	}
	c.useTLS(layer, interned)
	return c.loop.transports.verify(interned)
}

// thawWaiting has c go on to wait for its peer, or refuses it. Nothing else is unfinished
// about it.
func (c *Conn) thawWaiting(f *frozen, h Handler) error {
	b := f.transport
	if len(b) < waitingFixed || stage(b[1]) >= stageShaking || f.flags != 0 || len(f.in)+len(f.out)+len(f.sessionState) > 0 {
		return errPassage
	}
	if err := c.thawProxy(b[waitingFixed:]); err != nil {
		return err
	}
	p, err := c.loop.transports.passage(c.origin.number)
	switch {
	case err != nil: // as if it came just now: nothing is lost that a session has had
		c.refuse(refusedTransport(err))
		return nil
	case p == nil:
		return errPassage
	}
	s := &handshaking{conn: c, handler: h, passage: p, stage: stage(b[1])}
	if (s.stage == stageHeader) != (p.proxied && c.origin.proxy == nil) || s.stage == stageHello && p.config == nil {
		return errPassage
	}
	now := c.loop.turnTime()
	s.headerBy = now + remaining(b[2:], headerTime)
	s.by = now + remaining(b[10:], c.loop.transports.handshakeTime)
	c.keepRawInput(f.raw)
	c.waitForPeer(s)
	return nil
}

// remaining reads how much time is left, at most most.
func remaining(b []byte, most time.Duration) time.Duration {
	return min(max(1, time.Duration(binary.LittleEndian.Uint64(b))), most)
}
