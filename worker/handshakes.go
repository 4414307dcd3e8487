package worker

import (
	"time"

	"github.com/usher-go/usher/internal/tlsrecord"
)

// handshakes are what a loop has of the connections that are not open yet: the list of
// those that wait for their peers, the oldest first. Peers are strangers, so the list is
// bounded, and for a newcomer the oldest is closed. Those that wait for a place in the pool
// before they have waited for their peer are not in it, for they are kept by this worker.
// It belongs to the loop's goroutine.
//
//	taken in ──► waits ──(ClientHello)──► computes ──(our flight)──► waits ──(theirs)──► open
type handshakes struct {
	yields         bool // some compute: the loop lets them run (letWork), and waits through Go's scheduler
	oldest, newest *handshaking
	waiting        int // how many are in the list
	most           int // how many may be
}

// maxWaiting bounds the list: some 40 KiB each once crypto/tls has begun.
const maxWaiting = 4096

// await adds one that waits for its peer, by its age: one that computed meanwhile is no
// younger for that. If there are too many the oldest is closed, which may be this one.
func (s *handshakes) await(h *handshaking) {
	h.waits, h.older = true, s.newest
	for h.older != nil && h.older.by > h.by {
		h.older, h.newer = h.older.older, h.older
	}
	if h.newer == nil {
		s.newest = h
	} else {
		h.newer.older = h
	}
	if h.older == nil {
		s.oldest = h
	} else {
		h.older.newer = h
	}
	if s.waiting++; s.waiting > s.most {
		s.oldest.conn.refuse(refusedCrowd)
	}
}

// forget takes one out of the list, if it is in it.
func (s *handshakes) forget(h *handshaking) {
	if !h.waits {
		return
	}
	if h.older == nil {
		s.oldest = h.newer
	} else {
		h.older.newer = h.newer
	}
	if h.newer == nil {
		s.newest = h.older
	} else {
		h.newer.older = h.older
	}
	h.waits, h.older, h.newer = false, nil, nil
	s.waiting--
}

// mindYield has the loop wait for events through Go's scheduler as long as goroutines work
// for it, so that it does not keep a processor from them. It is called when that may have
// changed.
func (l *loop) mindYield() {
	s, pool := &l.handshakes, l.transports.pool
	s.yields = pool != nil && pool.Computing() > 0
	l.set.Yield(l.mustYield || l.offloop.working+l.engaged > 0 || s.yields)
}

// ciphers are those of connections with TLS that were busy lately. Without them a
// connection derives its own anew when it is busy again. It belongs to the loop's goroutine.
type ciphers struct {
	cache tlsrecord.Cache
	swept bool // a sweep is to come
}

// sweepEvery is how long ciphers that are not used are kept, at least.
const sweepEvery = time.Second

// keepSwept is called when the cache may hold something: as long as it does, it is swept.
func (l *loop) keepSwept() {
	if !l.ciphers.swept {
		l.ciphers.swept = true
		l.dialer.After(sweepEvery, l.sweepCiphers)
	}
}

func (l *loop) sweepCiphers() {
	l.ciphers.swept = false
	if l.ciphers.cache.Sweep() > 0 {
		l.keepSwept()
	}
}
