package worker

import (
	"time"

	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// mover moves a member's connections away, by the queue to the master, which passes them
// to other workers: all of them while the member drains in mode move, or as many as an
// order wants. It sweeps over the loop's table, a bounded part in each turn, and fills a
// parcel (parcel.go). It belongs to the loop's goroutine.
//
// A connection stands still from when it is frozen until it is thawed, so few are to
// wait in between. The master takes them only as other workers have room, and only a few
// at first when those run a new program. So a window bounds how many are sent and not
// yet taken by the master; it begins with one connection, and doubles each time that the
// master has taken all.
type mover struct {
	member  *member
	version string        // of the application's states: WithStateVersion
	order   uint64        // the id of the order that is to be answered; 0: none
	given   int           // how many connections have left by this order
	wanted  int           // how many are still to leave
	cursor  uint32        // the place in the table that is next
	window  int           // the bound of ahead
	ahead   int           // how many were sent since the master had last taken all
	retry   time.Duration // when move is due, on the loop's clock; never: nothing is to move
	delay   time.Duration // from the next refusal to its retry
	blocked bool          // the queue took no packet in this turn
	told    bool          // the master knows that no connection is left that can move
	waited  bool          // the order has waited for those that were engaged
	parcel  *parcel       // nil until connections are to move: it is large

	released []*Conn // those that are to leave at the end of this turn: see leaving.go
}

const (
	movesPerTurn = 4 * ipc.MaxConns
	// movesAhead bounds the window: at the rate at which a core moves them, some
	// milliseconds' worth.
	movesAhead = 4 * ipc.MaxConns
	// largePerTurn is how many bytes of large states a turn copies before events
	// have their turn again.
	largePerTurn = 4 << 20
	// moveTime bounds how long a turn freezes connections, or thaws them: a session may
	// take its time to pack or unpack its state, and the others are served in between.
	moveTime = 2 * time.Millisecond
	// moveRetryMin and moveRetryMax bound the pause after the queue was full, or
	// the window.
	moveRetryMin = time.Millisecond
	moveRetryMax = 50 * time.Millisecond
	// moveAgain is how long connections that could not move are left alone.
	moveAgain = 100 * time.Millisecond
)

// begin makes wanted connections move, or as many as can, by the order of that id; 0 is
// no order, but a drain.
func (m *mover) begin(order uint64, wanted int) {
	m.answer() // the one before, if it was not over
	if m.parcel == nil {
		m.parcel = &parcel{mover: m, loop: m.member.loop}
	}
	m.order, m.given = order, 0
	m.told, m.waited = false, false
	m.cursor, m.wanted, m.retry, m.delay = 0, wanted, m.member.loop.now(), moveRetryMin
	m.window = 1
}

// stop has no further connection move. An order that is not over is answered.
func (m *mover) stop() {
	m.retry = never
	m.answer()
}

// cancel is stop, unless the order is another one, or was answered already.
func (m *mover) cancel(order uint64) {
	if m.order == order {
		m.stop()
	}
}

// next returns when the mover has something to do by the clock, or never.
func (m *mover) next() time.Duration {
	if len(m.released) > 0 {
		return 0
	}
	return m.retry
}

// answer tells the master how many connections have left by its order, once.
func (m *mover) answer() {
	if m.order != 0 {
		m.tell(ipc.Moved{ID: m.order, Count: m.given})
		m.order = 0
	}
}

// tell sends an answer, with how many connections are still here.
func (m *mover) tell(answer ipc.Moved) {
	answer.Staying = m.member.loop.accepted()
	m.member.control.send(answer)
}

// move moves some of the connections, and plans when to go on.
func (m *mover) move() {
	l, p := m.member.loop, m.parcel
	m.blocked, p.large = false, 0
	defer p.tellLeft()
	for begun, n := l.now(), 0; n < movesPerTurn; n++ {
		if p.large >= largePerTurn || n > 0 && l.now()-begun > moveTime {
			break
		}
		p.tellLeft()
		l.progress()
		if m.wanted == 0 || m.cursor == l.table.size {
			if p.send() {
				m.swept()
			}
			return
		}
		if m.ahead+len(p.batch) >= m.window && !m.catchUp() {
			return
		}
		if c := l.table.at(m.cursor); c != nil && !p.freeze(c) {
			if m.blocked {
				return
			}
			if m.member.drain.move && !c.movable() {
				if !p.send() { // nothing frozen is to be touched by a callback
					return
				}
				c.askToDrain()
				l.settle()
			}
		}
		m.cursor++
	}
	if p.send() {
		m.retry = l.now() // the rest in the next turn: events have theirs first
	}
}

// catchUp sends what is packed, and reports whether the master has taken all that was
// sent. If not, it plans the next look.
func (m *mover) catchUp() bool {
	l := m.member.loop
	if !m.parcel.send() {
		return false
	}
	if !m.taken() {
		m.retry = l.now() + m.delay
		m.delay = min(2*m.delay, moveRetryMax)
		return false
	}
	return true
}

// taken reports whether the master has taken all that was sent, and then opens the window
// further.
func (m *mover) taken() bool {
	unread, err := unix.IoctlGetInt(m.member.intake.fd, unix.SIOCOUTQ)
	if err == nil && unread > 0 {
		return false
	}
	m.ahead, m.delay = 0, moveRetryMin // also if the kernel does not say: then the queue's length is the bound
	m.window = min(2*m.window, movesAhead)
	return true
}

// swept ends a sweep. While the worker drains another one follows, for connections that
// could not move before; and so it does once for an order that wants more than it has got,
// if some were engaged: those leave meanwhile (leaving.go).
func (m *mover) swept() {
	l := m.member.loop
	if m.cursor == l.table.size {
		m.cursor = 0
	}
	m.retry = never
	if !m.member.drain.move {
		if m.order != 0 && m.wanted > 0 && l.engaged > 0 && !m.waited {
			m.waited, m.retry = true, l.now()+moveAgain
			return
		}
		m.answer()
		return
	}
	m.retry = l.now() + moveAgain
	left := 0
	l.table.each(func(c *Conn) {
		if c.movable() && !c.busy() && !c.state.is(traitLarge) {
			left++
		}
	})
	if left == 0 && !m.told {
		m.tell(ipc.Moved{})
	}
	m.told = left == 0
}
