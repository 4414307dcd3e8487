package tlshandshake

import (
	"bytes"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
)

// Pool has places for handshakes that compute. A handshake that waits for its peer holds
// no place: it gives it back, and takes one before it goes on, in turn with those that
// begin. So peers that say nothing cost memory, and no time of others.
//
//	Start ──► queued ──place──► computing ──the next record is not here──► waiting
//	             ▲                  │                                        │
//	             └──────────────────│──────────── Feed, EOF ◄────────────────┘
//	                                └── done ──► ended
//
// How many handshakes there may be is its user's to bound.
type Pool struct {
	mu          sync.Mutex // held for a few assignments or the copy of what comes, never while something runs
	places      int        // that nobody holds
	first, last *Handshake // those that want one, in the order in which they came

	idle idle

	computing atomic.Int32 // those that want one or hold one
}

// NewPool returns a pool in which as many handshakes compute at a time, at least one.
func NewPool(computing int) *Pool {
	return &Pool{places: max(1, computing)}
}

// Start begins a handshake as a server. hello is what has come from the peer, as long as
// WholeHello says that it suffices; it is copied. It does not block.
//
// config is shared, and not changed; its KeyLogWriter, WrapSession and UnwrapSession are
// not used, and GetConfigForClient must be nil. Its ticket keys, which SetSessionTicketKeys
// may change at any time, seal and open the tickets. remote and local are what its
// callbacks see as the addresses of ClientHelloInfo.Conn, on which they can do nothing else.
//
// wake is called when Take may give something new, when Feed may be called again after it
// has said no, and when the handshake begins to wait for its peer, the first time. The
// caller of any method or a goroutine of the pool calls it, with no lock held, and it must
// not block. It may still be called once after Abandon has returned.
func (p *Pool) Start(config *tls.Config, hello []byte, remote, local net.Addr, wake func()) *Handshake {
	h := &Handshake{
		pool:  p,
		base:  config,
		wake:  wake,
		input: bytes.Clone(hello),
	}
	h.conn = conn{h: h, remote: remote, local: local}
	p.mu.Lock()
	p.idle.live++
	granted := p.wantLocked(h)
	p.mu.Unlock()
	if granted {
		h.goOn()
	}
	return h
}

// Computing returns how many handshakes compute, or wait for a place to: those that a
// processor is wanted for. It is for any goroutine, and costs next to nothing.
func (p *Pool) Computing() int { return int(p.computing.Load()) }

// wantLocked gives h a place, or has it wait for one. It reports whether h has one now:
// then the caller has it go on, without the lock.
func (p *Pool) wantLocked(h *Handshake) bool {
	p.computing.Add(1)
	if p.places > 0 {
		p.places--
		h.state = computing
		return true
	}
	h.state = queued
	h.older = p.last
	if p.last == nil {
		p.first = h
	} else {
		p.last.newer = h
	}
	p.last = h
	return false
}

// giveLocked gives a place to who has waited for one longest, and returns that one,
// which the caller has go on, without the lock; or nil.
func (p *Pool) giveLocked() *Handshake {
	p.computing.Add(-1)
	h := p.first
	if h == nil {
		p.places++
		return nil
	}
	p.leaveLocked(h)
	h.state = computing
	return h
}

// leaveLocked takes h, which is queued, out of the queue.
func (p *Pool) leaveLocked(h *Handshake) {
	if h.older == nil {
		p.first = h.newer
	} else {
		h.older.newer = h.newer
	}
	if h.newer == nil {
		p.last = h.older
	} else {
		h.newer.older = h.older
	}
	h.older, h.newer = nil, nil
}
