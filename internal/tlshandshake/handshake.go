package tlshandshake

import (
	"crypto/tls"
	"fmt"
	"io"
)

// Handshake is one handshake, from Start until its result is taken or it is abandoned.
// Its methods are called by one goroutine at a time; none of them blocks.
type Handshake struct {
	pool *Pool
	base *tls.Config // shared
	wake func()

	// The pool's lock guards the following.
	state        state
	older, newer *Handshake // in the queue for places
	input        []byte     // received, not given to crypto/tls
	eof          bool       // nothing follows input
	full         bool       // Feed has said that no more may come
	overfed      bool       // more has come nevertheless
	waited       bool       // it has waited for its peer
	abandoned    bool
	output       []byte // to be taken
	result       *Result
	err          error

	started bool          // owned by who moves it to computing, or abandons it
	resume  chan struct{} // one message at most: go on

	conn    conn    // what crypto/tls reads and writes; of the handshake's goroutine
	secrets secrets // of that goroutine, too
}

// state is where a handshake is; pool.go has the drawing.
type state uint8

const (
	queued    state = iota // wants a place
	computing              // holds one
	waiting                // for the peer's next record, or its end
	leaving                // abandoned while it waited: its goroutine comes to the end, and needs no place for that
	ended                  // its goroutine does no more for it
)

// maxHeld is how many bytes may wait to be read by crypto/tls before Feed says that no
// more may come. Any record fits, the largest of which takes 18,437 bytes (RFC 5246,
// section 6.2.3).
const maxHeld = 20 << 10

// Feed adds what has come from the peer; raw is copied. It reports whether more may be
// read: if not, nothing is to be fed until the next wake, or the handshake fails. So what
// is held is at most maxHeld and what one call brings.
func (h *Handshake) Feed(raw []byte) bool {
	p := h.pool
	p.mu.Lock()
	if h.full {
		h.overfed = true
	} else if !h.abandoned {
		h.input = append(h.input, raw...)
		h.full = len(h.input) >= maxHeld && h.state != ended
	}
	more := !h.full
	granted := h.state == waiting && h.readyLocked() && p.wantLocked(h)
	p.mu.Unlock()
	if granted {
		h.goOn()
	}
	return more
}

// EOF says that the peer has finished sending.
func (h *Handshake) EOF() {
	p := h.pool
	p.mu.Lock()
	h.eof = true
	granted := h.state == waiting && p.wantLocked(h)
	p.mu.Unlock()
	if granted {
		h.goOn()
	}
}

// Take returns what is to be sent since the last call, in order, and gives it away. done
// says that nothing follows, and Result has the result.
func (h *Handshake) Take() (out []byte, done bool) {
	p := h.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	out, h.output = h.output, nil
	return out, h.state == ended
}

// Result returns the result, once Take has said done. It is called once, and no Feed
// follows: what came until now, and is not of the handshake, is Rest. An error is an
// *Error; what Take has given is still to be sent, for the alert is there.
func (h *Handshake) Result() (*Result, error) {
	p := h.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	r, err := h.result, h.err
	h.result = nil
	if err == nil && h.overfed {
		r.Layer.Wipe()
		r, err = nil, errOverfed
	}
	if err != nil {
		return nil, err
	}
	r.Rest, h.input = h.input, nil
	return r, nil
}

// Abandon gives the handshake up: its connection is closed. Its goroutine leaves it soon, at
// the latest when crypto/tls next reads or writes. Nothing is to be called afterwards. It
// does nothing after Result.
func (h *Handshake) Abandon() {
	p := h.pool
	p.mu.Lock()
	h.abandoned = true
	h.input, h.output = nil, nil
	leave := false
	switch h.state {
	case queued:
		p.leaveLocked(h)
		p.computing.Add(-1)
		leave = h.started
		if leave {
			h.state = leaving
		} else {
			h.state = ended
			p.idle.endedLocked()
		}
	case waiting:
		leave = true
		h.state = leaving
	case ended:
		if h.result != nil {
			h.result.Layer.Wipe()
			h.result = nil
		}
	}
	p.mu.Unlock()
	if leave {
		h.goOn()
	}
}

// Format prints nothing: a handshake holds secrets.
func (h *Handshake) Format(s fmt.State, _ rune) { io.WriteString(s, "tlshandshake.Handshake") }

// run does the handshake, on its goroutine. It returns another one for that goroutine to
// begin with, or nil.
func (h *Handshake) run() (next *Handshake) {
	var result *Result
	var err error
	returned := false
	defer func() {
		v := recover()
		switch {
		case v != nil:
			err = panicked(v)
		case !returned:
			err = errGoexit // this goroutine is ending
		}
		next = h.end(result, err, returned || v != nil)
	}()
	result, err = h.shake()
	returned = true
	return nil
}

// shake does the handshake.
func (h *Handshake) shake() (*Result, error) {
	config, err := h.config()
	if err != nil {
		return nil, err
	}
	c := tls.Server(&h.conn, config)
	if err := c.Handshake(); err != nil {
		return nil, classify(err)
	}
	return h.finish(c.ConnectionState())
}

// end is the end of the handshake: it gives its place to another. It returns that one if it
// has no goroutine, and takes says that it can have this one.
func (h *Handshake) end(result *Result, err error, takes bool) (next *Handshake) {
	h.secrets = secrets{}
	p := h.pool
	p.mu.Lock()
	if h.state == computing {
		next = p.giveLocked()
	}
	h.state = ended
	h.full = false
	abandoned := h.abandoned
	if abandoned && result != nil {
		result.Layer.Wipe()
		result = nil
	}
	h.result, h.err = result, err
	p.idle.endedLocked()
	p.mu.Unlock()
	if !abandoned {
		h.wake()
	}
	switch {
	case next == nil:
		return nil
	case takes && !next.started:
		next.start()
		return next
	}
	next.goOn()
	return nil
}
