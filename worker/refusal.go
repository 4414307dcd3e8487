package worker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/tlshandshake"
)

// refusal is why a connection is closed before its Open. The peers are strangers, so each
// is counted and logged at level Debug, and all together are warned of now and then.
type refusal struct {
	counted refusalCounter
	reason  string // of few words, one of not many
	err     error  // what there is to say beside the reason
	answer  []byte // to be sent
	lingers bool   // the peer is told why, by answer or before, and given time to read it
	ours    bool   // the peer has had no part in it: somebody must act
}

// refusalCounter says where in the scoreboard a refusal is counted.
type refusalCounter uint8

const (
	countNothing refusalCounter = iota // the peer has gone before it began
	countHandshake
	countUntrusted
	countMalformed
	countLate
)

// What is refused without an error of another package.
var (
	refusedUntrusted = refusal{counted: countUntrusted, reason: "PROXY header from an untrusted address", err: errHeaderUntrusted}
	refusedNoHeader  = refusal{counted: countLate, reason: "PROXY header missing"}
	refusedLate      = refusal{counted: countLate, reason: "PROXY header late", err: errHeaderLate}
	refusedTimeout   = refusal{counted: countHandshake, reason: string(tlshandshake.Timeout)}
	refusedCrowd     = refusal{counted: countHandshake, reason: "too many wait for their peers"}
	refusedGone      = refusal{counted: countNothing, reason: "gone before it began"}
	refusedClosed    = refusal{counted: countHandshake, reason: string(tlshandshake.Closed)}
)

// What an operator may do about them.
var (
	errHeaderUntrusted = errors.New("if the peer is your proxy, add its address to trust= of the listener's")
	errHeaderLate      = errors.New("if none comes, have the proxy send one, or take proxy=on from the listener's address")
)

// refusedHeader refuses what is no PROXY header.
func refusedHeader(err error) refusal {
	return refusal{counted: countMalformed, reason: "PROXY header malformed", err: err}
}

// refusedHandshake refuses for what package tlshandshake, or a record layer, has said.
func refusedHandshake(err error) refusal {
	r := refusal{counted: countHandshake, reason: string(tlshandshake.Malformed), err: err, lingers: true}
	if e, ok := errors.AsType[*tlshandshake.Error](err); ok {
		r.reason, r.answer, r.ours = string(e.Reason), e.Answer(), e.Ours()
	} else if _, ok := errors.AsType[tls.AlertError](err); ok {
		r.reason = string(tlshandshake.Refused)
	}
	return r
}

// refusedTransport refuses what the master has sent and not announced, or has announced as
// gone.
func refusedTransport(err error) refusal {
	if err == errTransportGone {
		return refusal{counted: countHandshake, reason: "TLS is gone", err: err}
	}
	return refusal{counted: countHandshake, reason: "unknown transport", err: err, ours: true}
}

// refusedClient refuses a moved connection whose client would not be let in any more.
func refusedClient(layer tlsTransport, err error) refusal {
	return refusal{
		counted: countHandshake, reason: string(tlshandshake.BadCertificate), err: err,
		answer: layer.Alert(nil, alertBadCertificate), lingers: true,
	}
}

// alertBadCertificate is the alert for that: RFC 8446, section 6.2.
const alertBadCertificate = 42

// closed refuses a connection that has come to its end, or by err has failed. begun says
// that something of its stage had come.
func (s *handshaking) closed(begun bool, err error) refusal {
	r := refusedClosed
	switch {
	case s.stage == stageHeader:
		r = refusedNoHeader
	case s.stage == stageHello && !begun:
		r = refusedGone
	}
	r.err = err
	return r
}

// late refuses a connection whose time is over.
func (s *handshaking) late() refusal {
	if s.stage == stageHeader {
		return refusedLate
	}
	return refusedTimeout
}

// errRefused is what ends a connection that is refused.
var errRefused = errors.New("worker: refused")

// cause is the refusal as an error.
func (r *refusal) cause() error {
	if r.err != nil {
		return fmt.Errorf("%w: %s: %w", errRefused, r.reason, r.err)
	}
	return fmt.Errorf("%w: %s", errRefused, r.reason)
}

// refuse closes a connection that is not open, and counts it.
func (c *Conn) refuse(r refusal) {
	c.loop.refusals.note(c.id, c.RemoteAddr(), c.origin.listener, r)
	c.stopShaking()
	if len(r.answer) > 0 {
		_ = c.sendWire(r.answer) // the connection remembers an error
	}
	if r.lingers {
		c.end(r.cause())
	} else {
		c.fail(r.cause())
	}
}

// refusals are those of a loop and of its member's streams: they are counted, and warned
// of, now and then. Any goroutine may use it.
type refusals struct {
	log    hclog.Logger
	ledger *ledger // nil: nobody counts them; only what is for any goroutine is used

	mu      sync.Mutex
	reasons map[string]int // how many there were since the last warning
	told    toldRefusal    // the one of them that is to be told in full
	next    *time.Timer    // when it is to be warned again; nil: at once
}

// toldRefusal is a refusal with who was refused, and where. The zero value is none.
type toldRefusal struct {
	err      error
	peer     netip.AddrPort
	listener string
	ours     bool
}

// refusalLog is the least time between two warnings.
const refusalLog = time.Minute

// note takes note of a refusal. The first is warned of at once, and those that follow
// together.
func (s *refusals) note(id uint64, peer netip.AddrPort, listener string, r refusal) {
	s.log.Debug("connection refused", "conn", id, "peer", peer, "listener", listener, "reason", r.reason, "error", r.err)
	if s.ledger != nil {
		s.ledger.refused(r.counted)
	}
	if r.counted == countNothing {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reasons == nil {
		s.reasons = make(map[string]int)
	}
	s.reasons[r.reason]++
	if r.ours || !s.told.ours {
		s.told = toldRefusal{err: r.cause(), peer: peer, listener: listener, ours: r.ours}
	}
	if s.next == nil {
		s.warn()
	}
}

// shook counts a TLS handshake that is done.
func (s *refusals) shook(resumed bool) {
	if s.ledger != nil {
		s.ledger.shook(resumed)
	}
}

// warn logs what was refused, and when it is to do so again. The lock is held.
func (s *refusals) warn() {
	total, list := 0, []string{}
	for _, reason := range slices.Sorted(maps.Keys(s.reasons)) {
		total += s.reasons[reason]
		list = append(list, fmt.Sprintf("%s: %d", reason, s.reasons[reason]))
	}
	log := s.log.Warn
	if s.told.ours {
		log = s.log.Error
	}
	log("connections refused before they were open", "count", total, "reason", strings.Join(list, ", "),
		"peer", s.told.peer, "listener", s.told.listener, "error", s.told.err)
	clear(s.reasons)
	s.told = toldRefusal{}
	s.next = time.AfterFunc(refusalLog, s.warnAgain)
}

func (s *refusals) warnAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next = nil; len(s.reasons) > 0 {
		s.warn()
	}
}

// end logs what is left to tell, at the loop's end.
func (s *refusals) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		return
	}
	if s.next.Stop() && len(s.reasons) > 0 {
		s.warn()
		s.next.Stop()
	}
}
