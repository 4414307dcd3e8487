package worker

// state is what there is to know about a connection beside its buffers, in one word,
// so that one comparison tells a plain one (plain.go). It belongs to the loop's
// goroutine. Each part has a type and accessors of its own:
//
//	bits  0 to 2   phase   where it is in its life
//	      3 and 4  watch   whether epoll reports it
//	      5 and 6  fin     whether this side has finished
//	      8 to 12  hold    what holds its reading up
//	     13 to 17  due     what is to be done for it
//	     18 to 25  trait   what it is, which changes seldom
type state uint32

const (
	phaseMask  state = 7
	watchShift       = 3
	watchMask  state = 3 << watchShift
	finShift         = 5
	finMask    state = 3 << finShift
)

// watch is what epoll knows of a connection.
type watch uint8

const (
	unwatched watch = iota // not in the epoll set
	watched                // in it
	hungUp                 // EPOLLHUP came while not reading: out of it until it wants something
)

// fin is how far this side has come in finishing.
type fin uint8

const (
	finNone fin = iota
	finDue      // CloseWrite was called: FIN follows the output
	finSent
)

// hold is a set of what holds reading up. While the connection lingers it is empty, or
// holdPaused once enough was read (discard).
type hold state

const (
	holdPaused  hold = 1 << (8 + iota) // by Pause
	holdWork                           // by Go: work is outstanding
	holdChoked                         // output was above the high-water mark, and not yet below the low one
	holdEOF                            // the peer has finished: nothing more comes
	holdLeaving                        // it is to leave for another worker in this turn, unless it cannot (engaged.go)

	holdPassing = holdPaused | holdWork | holdChoked | holdLeaving // those that end again
	holdAny     = holdPassing | holdEOF
)

// due is a set of what is to be done for a connection.
type due state

const (
	dueSettle due = 1 << (13 + iota) // it is in the loop's list of those to settle
	dueLow                           // call the session's Low: holdChoked has ended
	dueReplay                        // call Data for the input that it left: a hold has ended
	dueEnd                           // end the input, as the transport has said, once nothing holds it up
	dueDrain                         // call the session's Drain
)

// trait is a set of what a connection is. Only traitWrapped keeps it from the short way
// through (plain.go).
type trait state

const (
	traitDialled trait = 1 << (18 + iota) // by this program: the master does not know it
	traitMoved                            // it comes from another worker
	traitPinned                           // it does not move: its session cannot be marshalled
	traitOwnIdle                          // SetIdleTimeout was called
	traitDrained                          // its session's Drain was called
	traitWrapped                          // its bytes pass a transport
	traitLarge                            // its state was too large to move, once at least, and that was logged
	traitEngaged                          // a request of it is under way on another goroutine (engaged.go)
)

// newState is the state of a connection that begins in p.
func newState(p phase, t trait) state { return state(p) | state(t) }

func (s state) phase() phase         { return phase(s & phaseMask) }
func (s *state) step(e phaseEvent)   { *s = *s&^phaseMask | state(s.phase().after(e)) }
func (s state) allows(r rights) bool { return s.phase().allows(r) }

func (s state) watch() watch      { return watch(s & watchMask >> watchShift) }
func (s *state) setWatch(w watch) { *s = *s&^watchMask | state(w)<<watchShift }

func (s state) fin() fin      { return fin(s & finMask >> finShift) }
func (s *state) setFin(f fin) { *s = *s&^finMask | state(f)<<finShift }

// held reports whether any of h holds reading up.
func (s state) held(h hold) bool { return s&state(h) != 0 }
func (s *state) hold(h hold)     { *s |= state(h) }
func (s *state) unhold(h hold)   { *s &^= state(h) }

// reads reports whether input is wanted.
func (s state) reads() bool { return !s.held(holdAny) && s.allows(mayRead) }

// due reports whether any of d is.
func (s state) due(d due) bool { return s&state(d) != 0 }
func (s *state) owe(d due)     { *s |= state(d) }
func (s *state) clear(d due)   { *s &^= state(d) }

// is reports whether the connection has any of t.
func (s state) is(t trait) bool { return s&state(t) != 0 }
func (s *state) mark(t trait)   { *s |= state(t) }
func (s *state) unmark(t trait) { *s &^= state(t) }
