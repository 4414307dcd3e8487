package worker

import "fmt"

// phase is where a connection is in its life. The table phaseRules is the whole of it,
// and only the loop's goroutine takes a step (state.step):
//
//	dialling ──reached─────┐
//	                       ▼
//	handshaking ──ready──► open ──close──► closing ──flushed──► lingering
//
//	dialling ──close, fail──► broken
//	handshaking ──close──► closing
//	handshaking, open, closing, lingering ──fail──► broken
//
//	any of these ──release──► closed ──report──► over
//	handshaking, open ──leave──► over
//
// Up to broken, a connection is in the loop's table and has a descriptor. Its session's
// Close is called on the step from closed to over, so never for one that has left.
type phase uint8

const (
	phaseDialling    phase = iota // connect(2) is not over; no session yet
	phaseHandshaking              // what it passes is not ready (handshaking.go); no session yet
	phaseOpen                     // since it was taken in, was connected, or has shaken hands
	phaseClosing                  // output is flushed, then FIN is sent
	phaseLingering                // FIN was sent: input is thrown away until the peer's
	phaseBroken                   // failed: it is closed as soon as it is settled, unflushed
	phaseClosed                   // the descriptor is closed; the session is to hear of it
	phaseOver                     // the session has heard, or goes on in another worker
	phases                        // how many there are
)

// phaseEvent is what may happen to a phase.
type phaseEvent uint8

const (
	eventReached phaseEvent = iota // connect(2) has succeeded
	eventReady                     // header and handshake are over
	eventClose                     // it is to end in order
	eventFail                      // it is to end at once
	eventFlushed                   // output is sent, FIN as well; the peer's is awaited
	eventRelease                   // its descriptor is closed
	eventReport                    // its session hears of the end
	eventLeave                     // the kernel has it for another worker
	phaseEvents                    // how many there are
)

// rights are what a phase allows.
type rights uint8

const (
	mayCall  rights = 1 << iota // callbacks are made, but Close; before open there is no session yet
	mayWrite                    // the session may add output
	mayRead                     // input is read, unless something holds it up
	mayFlush                    // output is sent
	mayWatch                    // epoll may report it
	mayMove                     // it may leave for another worker
)

// impossible is where an event that cannot happen in a phase leads.
const impossible = phases

// phaseRules says what each phase allows, and which phase follows each event: the same
// one again where an event comes too late to change anything.
var phaseRules = [phases]struct {
	name   string
	allows rights
	then   [phaseEvents]phase
}{
	phaseDialling: {"dialling", mayCall | mayWatch, [phaseEvents]phase{
		eventReached: phaseOpen, eventReady: impossible, eventClose: phaseBroken, eventFail: phaseBroken, eventFlushed: impossible,
		eventRelease: phaseClosed, eventReport: impossible, eventLeave: impossible,
	}},
	phaseHandshaking: {"handshaking", mayCall | mayRead | mayFlush | mayWatch | mayMove, [phaseEvents]phase{
		eventReached: impossible, eventReady: phaseOpen, eventClose: phaseClosing, eventFail: phaseBroken, eventFlushed: impossible,
		eventRelease: phaseClosed, eventReport: impossible, eventLeave: phaseOver,
	}},
	phaseOpen: {"open", mayCall | mayWrite | mayRead | mayFlush | mayWatch | mayMove, [phaseEvents]phase{
		eventReached: impossible, eventReady: impossible, eventClose: phaseClosing, eventFail: phaseBroken, eventFlushed: impossible,
		eventRelease: phaseClosed, eventReport: impossible, eventLeave: phaseOver,
	}},
	phaseClosing: {"closing", mayFlush | mayWatch, [phaseEvents]phase{
		eventReached: impossible, eventReady: impossible, eventClose: phaseClosing, eventFail: phaseBroken, eventFlushed: phaseLingering,
		eventRelease: phaseClosed, eventReport: impossible, eventLeave: impossible,
	}},
	phaseLingering: {"lingering", mayRead | mayWatch, [phaseEvents]phase{
		eventReached: impossible, eventReady: impossible, eventClose: phaseLingering, eventFail: phaseBroken, eventFlushed: impossible,
		eventRelease: phaseClosed, eventReport: impossible, eventLeave: impossible,
	}},
	phaseBroken: {"broken", 0, [phaseEvents]phase{
		eventReached: impossible, eventReady: impossible, eventClose: phaseBroken, eventFail: phaseBroken, eventFlushed: impossible,
		eventRelease: phaseClosed, eventReport: impossible, eventLeave: impossible,
	}},
	phaseClosed: {"closed", 0, [phaseEvents]phase{
		eventReached: impossible, eventReady: impossible, eventClose: phaseClosed, eventFail: phaseClosed, eventFlushed: impossible,
		eventRelease: impossible, eventReport: phaseOver, eventLeave: impossible,
	}},
	phaseOver: {"over", 0, [phaseEvents]phase{
		eventReached: impossible, eventReady: impossible, eventClose: phaseOver, eventFail: phaseOver, eventFlushed: impossible,
		eventRelease: impossible, eventReport: phaseOver, eventLeave: impossible,
	}},
}

// after returns the phase that follows. An event that is impossible is a mistake in
// this package, and panics.
func (p phase) after(e phaseEvent) phase {
	next := phaseRules[p].then[e]
	if next == impossible {
		p.refuse(e)
	}
	return next
}

func (p phase) refuse(e phaseEvent) {
	panic(fmt.Sprintf("worker: event %d of a connection that is %v", e, p))
}

// allows reports whether p allows all of r.
func (p phase) allows(r rights) bool { return phaseRules[p].allows&r == r }

func (p phase) String() string { return phaseRules[p].name }
