package worker

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/tlsrecord"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// stillPassing is a loop whose clock stands still and whose connections pass something: those of
// number 1 a PROXY header, of 2 TLS, of 3 both.
type stillPassing struct {
	t    testing.TB
	l    *loop
	time time.Duration
	last uint64
	ends map[uint64]error // why connections have ended
}

func newStillPassing(t testing.TB) *stillPassing {
	t.Helper()
	l, err := newLoop(newOptions([]Option{WithLogger(hclog.NewNullLogger())}))
	must(t, err)
	p := &stillPassing{t: t, l: l, time: time.Hour, ends: make(map[uint64]error)}
	l.clock = func() time.Duration { return p.time }
	l.reported = func(id uint64, cause error) { p.ends[id] = cause }
	l.transports.handshakeTime = handshakeTime
	header := passage{proxied: true, trust: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	both := header
	both.config = &tls.Config{}
	l.transports.passages = map[uint8]*passage{1: &header, 2: {config: both.config}, 3: &both}
	l.start()
	t.Cleanup(func() {
		l.end()
		l.close()
		if l.wheel.InUse() != 0 || l.handshakes.waiting != 0 || len(l.facts) != 0 {
			t.Errorf("%d alarms, %d that wait, %d facts are left", l.wheel.InUse(), l.handshakes.waiting, len(l.facts))
		}
	})
	return p
}

// adopt takes in a connection of a number, and returns the other end.
func (p *stillPassing) adopt(number uint8) (c *Conn, peer int) {
	p.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(p.t, err)
	p.t.Cleanup(func() { _ = unix.Close(pair[0]) }) // a client that leaves
	p.last++
	return p.l.adopt(&ipc.Envelope{ID: p.last, Transport: number, Remote: netip.MustParseAddrPort("192.0.2.1:5")}, pair[1]), pair[0]
}

// pass lets time pass, and makes a turn.
func (p *stillPassing) pass(d time.Duration) {
	p.t.Helper()
	p.time += d
	p.l.turnAtKnown = false
	_, err := p.l.turn(p.l.nextDeadline(), 0)
	must(p.t, err)
}

// expectEnd wants a connection's end for that reason when d has passed of what was away so
// far, and not before.
func (p *stillPassing) expectEnd(c *Conn, d, away time.Duration, reason string) {
	p.t.Helper()
	p.pass(d - 1)
	if c.ending() {
		p.t.Fatalf("ended early: %v", p.ends[c.id])
	}
	p.pass(1 + late(away))
	if err := p.ends[c.id]; err == nil || !strings.Contains(err.Error(), reason) {
		p.t.Fatalf("ended by %v, want %s", err, reason)
	}
}

var opensNothing = OpenFunc(func(*Conn) (Session, error) { return nil, errors.New("it is not to be opened") })

// freeze returns a connection's state as it travels.
func (p *stillPassing) freeze(c *Conn) []byte {
	f := frozen{read: frozenNever, write: frozenNever}
	c.describe(&f, p.l.turnTime())
	return f.append(nil)
}

// thaw has a connection of the number go on.
func (p *stillPassing) thaw(number uint8, state []byte, h Handler) (*Conn, error) {
	p.t.Helper()
	c, _ := p.adopt(number)
	var f frozen
	err := f.decode(state)
	if err == nil {
		err = c.thaw(&f, h)
	}
	if err != nil {
		c.fail(err)
	}
	c.touch()
	p.l.settle()
	return c, err
}

// A header and a handshake are due in time, from the taking in on, whatever comes of them,
// and in whichever worker.
func TestWaitingIsBounded(t *testing.T) {
	const headerLate, timeout = "PROXY header late", "timeout"
	tests := []struct {
		name   string
		number uint8
		send   string
		due    time.Duration
		reason string
	}{
		{"header", 1, "", headerTime, headerLate},
		{"header that begins", 1, "PROXY ", headerTime, headerLate},
		{"ClientHello", 2, "", handshakeTime, timeout},
		{"ClientHello that begins", 2, "\x16\x03\x01", handshakeTime, timeout},
		{"header before TLS", 3, "", headerTime, headerLate},
		{"ClientHello behind a header", 3, "PROXY UNKNOWN\r\n\x16", handshakeTime, timeout},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, next := newStillPassing(t), newStillPassing(t)
			c, peer := p.adopt(test.number)
			must(t, c.open(opensNothing))
			c.touch()
			p.l.settle()
			_, err := unix.Write(peer, []byte(test.send))
			must(t, err)
			p.pass(time.Second)
			const before = 3 * time.Second
			p.pass(before - time.Second)
			moved, err := next.thaw(test.number, p.freeze(c), opensNothing)
			must(t, err)
			if got := len(moved.unfinished.raw); got != len(test.send) && test.number != 3 {
				t.Errorf("%d bytes moved", got)
			}
			next.expectEnd(moved, test.due-before, test.due-before, test.reason)
			p.expectEnd(c, test.due-before, test.due, test.reason)
		})
	}
}

// openedSession is the session of those that are open.
var openedSession = DataFunc(func(c *Conn, in []byte) (int, error) { return len(in), nil })

// passageStates returns what is frozen of a connection of each kind, by its number.
func passageStates(t testing.TB) map[string]struct {
	number uint8
	state  []byte
} {
	p := newStillPassing(t)
	type kind = struct {
		number uint8
		state  []byte
	}
	states := make(map[string]kind)
	add := func(name string, number uint8, send string, becomes func(c *Conn)) {
		c, peer := p.adopt(number)
		must(t, c.open(openedSession))
		c.touch()
		p.l.settle()
		_, err := unix.Write(peer, []byte(send))
		must(t, err)
		p.pass(0)
		becomes(c)
		states[name] = kind{number, p.freeze(c)}
	}
	add("header", 1, "PROXY TCP4 ", func(*Conn) {})
	add("plain behind a header", 1, "PROXY TCP4 192.0.2.7 198.51.100.1 4000 443\r\n", func(*Conn) {})
	add("hello behind a header", 3, "PROXY UNKNOWN\r\n\x16\x03", func(*Conn) {})
	add("hello", 2, "\x16\x03", func(*Conn) {})
	add("TLS", 3, "PROXY UNKNOWN\r\n", func(c *Conn) {
		secret := bytes.Repeat([]byte{7}, 32)
		layer, err := tlsrecord.NewTLS13(tlsrecord.Server, tls.TLS_AES_128_GCM_SHA256, secret, secret, 0, 2)
		must(t, err)
		facts, err := p.l.facts.intern(appendFacts(nil, &TLSState{Version: tls.VersionTLS13, ALPN: "h2", ServerName: "server.test"}, [8]byte{1}))
		must(t, err)
		c.useTLS(layer, facts)
		c.opens(nil)
		p.l.settle()
	})
	return states
}

// Connections of each kind go on, and say of themselves what they did.
func TestPassagesThaw(t *testing.T) {
	for name, kind := range passageStates(t) {
		t.Run(name, func(t *testing.T) {
			p := newStillPassing(t)
			c, err := p.thaw(kind.number, kind.state, openedSession)
			must(t, err)
			if again := p.freeze(c); !bytes.Equal(again, kind.state) {
				t.Errorf("\n%x freezes again to\n%x", kind.state, again)
			}
		})
	}
}

// What is not what a worker has written is refused, and costs nothing.
func TestHostilePassages(t *testing.T) {
	p := newStillPassing(t)
	states := passageStates(t)
	state := func(name string, change func(f *frozen)) []byte {
		var f frozen
		must(t, f.decode(states[name].state))
		f.transport = bytes.Clone(f.transport)
		change(&f)
		return f.append(nil)
	}
	tests := []struct {
		name   string
		number uint8
		state  []byte
	}{
		{"plain, where something is passed", 2, state("header", func(f *frozen) { f.wrapped = false })},
		{"of no kind", 2, state("hello", func(f *frozen) { f.transport = nil })},
		{"of another kind", 2, state("hello", func(f *frozen) { f.transport[0] = 9 })},
		{"of a test's transport", 2, state("hello", func(f *frozen) { f.transport[0] = byte(passageOther) })},
		{"waiting, where nothing is passed", 0, states["hello"].state},
		{"waiting for a header, where there is none", 2, states["header"].state},
		{"waiting for TLS, where there is none", 1, states["hello behind a header"].state},
		{"waiting without its header", 3, states["hello"].state},
		{"waiting, and shaking hands", 2, state("hello", func(f *frozen) { f.transport[1] = byte(stageShaking) })},
		{"waiting with input", 2, state("hello", func(f *frozen) { f.in = []byte("x") })},
		{"waiting with output", 2, state("hello", func(f *frozen) { f.out = []byte("x") })},
		{"waiting with a session", 2, state("hello", func(f *frozen) { f.sessionState = []byte("x") })},
		{"waiting in a pause", 2, state("hello", func(f *frozen) { f.flags = frozenPaused })},
		{"plain without its header", 1, state("plain behind a header", func(f *frozen) { f.transport = f.transport[:1] })},
		{"plain with raw input", 1, state("plain behind a header", func(f *frozen) { f.raw = []byte("x") })},
		{"header of version 3", 1, state("plain behind a header", func(f *frozen) { f.transport[1] = 3 })},
		{"header with half a TLV", 1, state("plain behind a header", func(f *frozen) { f.transport = append(f.transport, 1, 2) })},
		{"header with a long TLV", 1, state("plain behind a header", func(f *frozen) { f.transport = append(f.transport, 1, 9, 0, 1) })},
		{"TLS without secrets", 3, state("TLS", func(f *frozen) { f.transport = f.transport[:60] })},
		{"TLS with long facts", 3, state("TLS", func(f *frozen) { f.transport[8] = 0xff })},
		{"TLS of no version", 3, state("TLS", func(f *frozen) { f.transport[tlsFixed+2] = 0xff })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if c, err := p.thaw(test.number, test.state, openedSession); err == nil {
				t.Errorf("it goes on, %v", c.state.phase())
			}
		})
	}
}

// Whatever comes from another worker, a connection goes on, or is refused.
func FuzzThawPassage(f *testing.F) {
	for _, kind := range passageStates(f) {
		f.Add(kind.number, kind.state)
	}
	p := newStillPassing(f)
	f.Fuzz(func(t *testing.T, number uint8, state []byte) {
		p.t = t
		c, err := p.thaw(number, state, openedSession)
		if err == nil && !c.ending() && (c.state.phase() == phaseHandshaking) != (c.session == nil) {
			t.Errorf("%v with the session %v", c.state.phase(), c.session)
		}
		c.fail(errors.New("enough"))
		p.l.settle()
	})
}
