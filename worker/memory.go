package worker

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/usher-go/usher/internal/machine"
)

// What the connections of a loop buffer is bounded for all together: the capacities of
// the buffers for input that sessions left and for output that peers did not take, also
// when they came with a moved connection. The state of a connection that is about to
// move is not counted: there is one at a time (parcel.go), and no connection that could
// be closed to be rid of it.
//
//	above the bound ──► connections that are owed the most output are choked: their input
//	                    pauses, as above the high-water mark; that mark is low for the
//	                    others, and little is read at a time
//	above twice it  ──► the largest are closed with ErrMemory, and their buffers are freed
//
// Above the bound one more client that does not read takes 8 KiB. Twice the bound is
// reached by output that is no answer to input, and by input without an answer.
//
// Only output chokes a connection: one that has sent a part of a message would never
// send the rest. The bound is looked at once a turn; twice the bound, whenever buffers
// of a connection have grown, since one callback may write to all. A connection that
// buffers nothing is never concerned. All of this runs on the loop's goroutine.

// ErrMemory: the connections of this worker buffered twice what WithMemory, or usher
// serve --worker-memory, allows, and this one most of all.
var ErrMemory = errors.New("worker: memory full")

// WithMemory bounds the memory that the connections of this worker buffer, all
// together, in bytes: input that was left unconsumed, and output that peers have not
// taken. It is the buffers themselves that count, not only what is in them. One state
// on its way to or from another worker, of at most 64 MiB, comes on top, and so do 6
// MiB of buffers that are kept for the next connection.
//
// Above it, input pauses for the connections that are owed the most, as it does above
// the high-water mark (see Conn.Write). Above twice that, connections are closed,
// those that buffer the most first, unflushed, and their sessions get ErrMemory. Both
// are logged.
//
// 0, the default, is what the master says (usher serve --worker-memory), which when
// nothing is said there is an eighth of the memory of the machine, or of the control
// group, divided by the number of its workers or processors, whichever is more. What
// was said there stands, whatever this option says.
func WithMemory(bytes int64) Option { return func(o *options) { o.memory = bytes } }

const (
	// memoryShare is the part of the machine's memory that a processor's loop may have: an
	// eighth.
	memoryShare = 8
	// memoryLooks is the part of the bound by which more is to be held before the
	// connections are gone through again: a sixteenth.
	memoryLooks = 16
	// fullInput is, above the bound, how much is read at a time, and the high-water mark.
	// Reading little also leaves more of the time to those who are owed nothing.
	fullInput = 4 << 10
	// memoryLog is the least time between two warnings that the memory is full.
	memoryLog = 10 * time.Second
)

// memory is the bound, and what has come of it. It belongs to the loop's goroutine.
type memory struct {
	limit       int
	reviewAbove int           // the connections are gone through when more is held
	full        bool          // more than limit was held, and has been since
	news        bool          // there is something to log: it has become full, or connections were closed
	closed      int           // connections that were closed since the last warning
	mute        time.Duration // no warning comes before that
	sizes       []holding     // scratch space of holdings
}

// holding is a connection and the capacity of its buffers.
type holding struct {
	conn  *Conn
	bytes int
}

// ownLimit returns the bound of a loop that no master has given one: the program's, if
// it is above 0, else a share of the machine's memory.
func ownLimit(program int64) int64 {
	if program > 0 {
		return program
	}
	return machine.Memory() / memoryShare / int64(runtime.NumCPU())
}

// boundMemory sets the bound.
func (l *loop) boundMemory(limit int64) {
	l.memory.limit = int(min(limit, math.MaxInt/4))
	l.memory.reviewAbove = l.memory.limit
}

// grew is called when buffers of a connection may have grown, also within a callback.
func (l *loop) grew() {
	if l.buffers.Held() > 2*l.memory.limit {
		l.closeLargest()
	}
}

// holds returns the capacity of c's buffers.
func (c *Conn) holds() int { return c.owed() + cap(c.unfinished.in) + cap(c.unfinished.raw) }

// owed returns the capacity of c's buffers for output.
func (c *Conn) owed() int {
	n := cap(c.unfinished.out)
	for i := range c.unfinished.files {
		n += cap(c.unfinished.files[i].after)
	}
	return n
}

// holdings returns the connections for which sizeOf is above 0, the largest first. They
// are valid until the next call.
func (l *loop) holdings(sizeOf func(c *Conn) int) []holding {
	m := &l.memory
	m.sizes = m.sizes[:0]
	l.table.each(func(c *Conn) {
		if c.unfinished == nil || !c.state.allows(mayWatch) {
			return
		}
		if bytes := sizeOf(c); bytes > 0 {
			m.sizes = append(m.sizes, holding{c, bytes})
		}
	})
	slices.SortFunc(m.sizes, func(a, b holding) int { return b.bytes - a.bytes })
	return m.sizes
}

// closeLargest closes connections until a little less than twice the bound is held.
func (l *loop) closeLargest() {
	m := &l.memory
	for _, h := range l.holdings((*Conn).holds) {
		if l.buffers.Held() <= 2*m.limit-m.limit/memoryLooks {
			break
		}
		h.conn.fail(ErrMemory)
		h.conn.dropBuffers()
		m.closed++
		m.news = true
	}
	l.setFull(true)
}

// setFull says whether more than the bound is held; while it is, little is read at a time.
func (l *loop) setFull(full bool) {
	l.memory.news = l.memory.news || full && !l.memory.full
	l.memory.full = full
	if l.input = l.input[:cap(l.input)]; full {
		l.input = l.input[:fullInput]
	}
}

// dropBuffers frees what c buffers. The input that a callback is just looking at is
// freed when that returns.
func (c *Conn) dropBuffers() {
	c.dropFiles()
	c.loop.buffers.Put(c.unfinished.out)
	c.loop.buffers.Put(c.unfinished.raw)
	c.unfinished.out, c.unfinished.written, c.unfinished.raw = nil, 0, nil
	if c.loop.reading != c {
		c.loop.buffers.Forget(c.unfinished.in) // Peek may have given it to this callback
		c.unfinished.in = nil
	}
}

// mindMemory ends a turn: it looks whether the bound was passed, or a warning is due.
func (l *loop) mindMemory() {
	if l.memory.full || l.memory.news || l.buffers.Held() > l.memory.reviewAbove {
		l.reviewMemory()
	}
}

// reviewMemory chokes connections if more is held than at the last review, logs what is
// to be logged, and ends being full.
func (l *loop) reviewMemory() {
	m := &l.memory
	if l.buffers.Held() > m.reviewAbove {
		l.setFull(true)
		l.chokeMostOwed()
		m.reviewAbove = max(l.buffers.Held(), m.limit) + m.limit/memoryLooks
		l.settle()
	}
	if m.news && l.now() >= m.mute {
		l.logMemory()
	}
	if l.buffers.Held() <= m.limit {
		l.setFull(false)
		m.reviewAbove, m.sizes = m.limit, nil
	}
}

// next returns when a warning is due, or never.
func (m *memory) next() time.Duration {
	if !m.news {
		return never
	}
	return m.mute
}

func (l *loop) logMemory() {
	m := &l.memory
	l.log.Warn("memory for buffers is full: input pauses where output is owed, and beyond twice the limit the largest are closed",
		"closed", m.closed, "held", l.buffers.Held(), "limit", m.limit)
	m.news, m.closed = false, 0
	m.mute = l.now() + memoryLog
}

// chokeMostOwed pauses the input of those connections that are owed the most output, so
// many that the others are owed no more than half of the bound.
func (l *loop) chokeMostOwed() {
	m := &l.memory
	others := 0
	flowing := l.holdings(func(c *Conn) int {
		if c.state.phase() != phaseOpen || !c.state.reads() {
			return 0 // it reads nothing
		}
		bytes := c.owed()
		others += bytes
		return bytes
	})
	for _, h := range flowing {
		if others <= m.limit/2 {
			break
		}
		others -= h.bytes
		h.conn.state.hold(holdChoked)
		h.conn.touch()
	}
}
