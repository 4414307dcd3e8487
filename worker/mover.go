package worker

import (
	"time"

	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// mover moves connections away: all of them while the worker drains in mode
// move, or some. It sweeps over the table, a bounded part in each turn.
//
// A connection stands still from when it is frozen until it is thawed, so few are
// to wait in between. The master takes them as others have room, and at first, of
// a new program, a few. So a window bounds how many are sent before the master has
// taken them; it begins with one connection, and doubles each time that it has.
type mover struct {
	order   uint64        // the id of the order that is to be answered; 0: none
	given   int           // how many have left by it
	wanted  int           // how many are still to go
	cursor  uint32        // the place in the table that is next
	window  int           // how many may be ahead of the master
	ahead   int           // were sent since it had taken all
	retry   time.Duration // when to go on, on the loop's clock; never: it is over
	delay   time.Duration // before the next retry
	blocked bool          // the queue took no packet in this turn
	told    bool          // the master knows that no movable one is left

	packet  ipc.Packet
	courier ipc.Courier
	batch   []moving  // those in the packet
	leaving []leaving // sessions that are to hear that they have left
	state   []byte    // scratch space
	large   int       // bytes of large states in this turn
}

// moving is one connection in the mover's packet.
type moving struct {
	conn  *Conn
	stage ipc.Stage
}

// leaving is a session whose connection has left.
type leaving struct {
	conn    *Conn
	session LeaveSession
}

// beginMove has so many connections move, or as many as can, by an order of that
// id, or by none.
func (l *loop) beginMove(order uint64, wanted int) {
	l.answerOrder() // the one before, if it was not over
	if l.mover == nil {
		l.mover = &mover{}
	}
	m := l.mover
	m.order, m.given = order, 0
	m.told = false
	m.cursor, m.wanted, m.retry, m.delay = 0, wanted, l.now(), moveRetryMin
	m.window = 1
}

// stopMove has no further connection move. An order that is not over is answered.
func (l *loop) stopMove() {
	l.drain.move = false
	if l.mover != nil {
		l.mover.retry = never
		l.answerOrder()
	}
}

// cancelOrder has no further connection move by an order, and answers it, if that
// was not done already.
func (l *loop) cancelOrder(id uint64) {
	if m := l.mover; m != nil && m.order == id {
		m.retry = never
		l.answerOrder()
	}
}

// answerOrder tells the master how many have left by its order, once.
func (l *loop) answerOrder() {
	if m := l.mover; m != nil && m.order != 0 {
		l.control.send(ipc.Moved{ID: m.order, Count: m.given, Staying: l.accepted()})
		m.order = 0
	}
}

const (
	movesPerTurn = 4 * ipc.MaxConns
	// movesAhead bounds the window: at the rate at which a core moves them, some
	// milliseconds' worth.
	movesAhead = 4 * ipc.MaxConns
	// largePerTurn is how many bytes of large states a turn copies before events
	// have their turn again.
	largePerTurn = 4 << 20
	// moveTime bounds the moving part of a turn, freezing and thawing alike: a
	// session may take its time to pack or unpack its state, and others have theirs in
	// between.
	moveTime = 2 * time.Millisecond
	// moveRetryMin and moveRetryMax bound the pause after the queue was full, or
	// the window.
	moveRetryMin = time.Millisecond
	moveRetryMax = 50 * time.Millisecond
	// moveAgain is how long those that could not move are left alone.
	moveAgain = 100 * time.Millisecond
)

func (m *mover) next() time.Duration {
	if m == nil {
		return never
	}
	return m.retry
}

// move moves some of the connections, and plans when to go on.
func (l *loop) move() {
	m := l.mover
	m.blocked, m.large = false, 0
	defer l.tellLeft()
	for begun, n := l.now(), 0; n < movesPerTurn; n++ {
		if m.large >= largePerTurn || n > 0 && l.now()-begun > moveTime {
			break
		}
		l.tellLeft()
		l.progress()
		if m.wanted == 0 || m.cursor == l.table.size {
			if l.sendMoved() {
				l.swept()
			}
			return
		}
		if m.ahead+len(m.batch) >= m.window && !l.catchUp() {
			return
		}
		if c := l.table.at(m.cursor); c != nil && !l.freeze(c) {
			if m.blocked {
				return
			}
			if l.drain.move && !c.movable() {
				if !l.sendMoved() { // nothing frozen is to be touched by a callback
					return
				}
				c.askToDrain()
				l.settle()
			}
		}
		m.cursor++
	}
	if l.sendMoved() {
		m.retry = l.now() // the rest in the next turn: events have theirs first
	}
}

// catchUp sends what is packed, and reports whether the master has taken all. If
// not, the next look is planned.
func (l *loop) catchUp() bool {
	m := l.mover
	if !l.sendMoved() {
		return false
	}
	unread, err := unix.IoctlGetInt(l.station.queue, unix.SIOCOUTQ)
	if err == nil && unread > 0 {
		m.retry = l.now() + m.delay
		m.delay = min(2*m.delay, moveRetryMax)
		return false
	}
	m.ahead, m.delay = 0, moveRetryMin // without the answer, the queue is the bound
	m.window = min(2*m.window, movesAhead)
	return true
}

// swept ends a sweep. While the worker drains another follows, for those that
// could not move before.
func (l *loop) swept() {
	m := l.mover
	if m.cursor == l.table.size {
		m.cursor = 0
	}
	m.retry = never
	if !l.drain.move {
		l.answerOrder()
		return
	}
	m.retry = l.now() + moveAgain
	left := 0
	l.table.each(func(c *Conn) {
		if c.movable() && !c.restless() && !c.state.is(traitLarge) {
			left++
		}
	})
	if left == 0 && !m.told {
		l.control.send(ipc.Moved{Staying: l.accepted()})
	}
	m.told = left == 0
}
