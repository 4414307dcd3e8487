package worker

import (
	"time"

	"github.com/usher-go/usher/ipc"
)

// meter is what a loop counts for people: see ipc.Further, which says what each number
// means. The numbers are the loop's own, and are told once a turn, each that has changed by
// one store: so counting costs an addition to memory that is at hand. What happens seldom is
// counted where it is told.
//
// It belongs to the loop's goroutine, but for answered.
type meter struct {
	told *ipc.FurtherCounters // for others to read: a member's is in its scoreboard, any other's is nobody's

	bytesRead, bytesSent, reads, turns uint64
	held                               int           // as told: bytes in buffers
	readsTold, sentTold                uint64        // as told
	longest                            time.Duration // that a turn took

	timed bool          // this turn is
	begun time.Duration // if so: when it began
}

// Most turns are not timed: a reading of the clock is a part of what an echo costs. Timed are
// those of which there is one in lagEvery, a power of two, which alone are in the histogram;
// those with many events, which share the cost; and those with orders (serveReserved).
const (
	lagEvery   = 64
	manyEvents = 16
)

// newMeter makes one that tells nobody.
func newMeter() meter { return meter{told: new(ipc.FurtherCounters)} }

// tell has what is counted from now on, and was until now, be told in f, a worker's part of
// its scoreboard; nil: the master has no room for it.
func (m *meter) tell(f *ipc.FurtherCounters) {
	if f != nil {
		m.told = f
		f.Keep()
	}
}

// read and sent count what the kernel has given and taken.
func (m *meter) read(n uintptr) {
	if n > 0 {
		m.reads++
		m.bytesRead += uint64(n)
	}
}

func (m *meter) sent(n uintptr) { m.bytesSent += uint64(n) }

// waited counts the time that a new connection has waited in queues.
func (m *meter) waited(d time.Duration) { ipc.Observe(&m.told.QueueWait, int64(d)) }

// paused counts the time that a connection took to move here.
func (m *meter) paused(d time.Duration) { ipc.Observe(&m.told.MovePause, int64(d)) }

// answered counts an HTTP request by the class of its status, and if it is not negative the
// time that it took. Any goroutine may call it, also when the loop has ended.
func (m *meter) answered(status int, took time.Duration) {
	t := m.told
	switch status / 100 {
	case 1:
		t.HTTPRequests1XX.Add(1)
	case 2:
		t.HTTPRequests2XX.Add(1)
	case 3:
		t.HTTPRequests3XX.Add(1)
	case 4:
		t.HTTPRequests4XX.Add(1)
	case 5:
		t.HTTPRequests5XX.Add(1)
	default:
		return // there was no answer
	}
	if took >= 0 {
		ipc.Observe(&t.HTTPRequest, int64(took))
	}
}

// beginTurn is called when the wait of a turn has brought n events.
func (l *loop) beginTurn(n int) {
	m := &l.meter
	if m.turns++; n >= manyEvents || m.turns%lagEvery == 0 {
		l.timeTurn()
	}
}

// timeTurn has the turn be timed, from here on if it is not yet.
func (l *loop) timeTurn() {
	if m := &l.meter; !m.timed {
		m.timed, m.begun = true, l.now()
	}
}

// endTurn is called before the next wait: it tells what the turn has come to.
func (l *loop) endTurn() {
	m := &l.meter
	if m.timed {
		m.timed = false
		took := l.now() - m.begun
		if m.turns%lagEvery == 0 {
			ipc.Observe(&m.told.LoopLag, int64(took))
		}
		if took > m.longest {
			m.longest = took
			m.told.LongestTurn.Store(uint64(took))
		}
	}
	l.tellCounts()
}

// tellCounts tells the numbers, as far as they have changed.
func (l *loop) tellCounts() {
	m := &l.meter
	m.told.Turns.Store(m.turns)
	if m.reads != m.readsTold {
		m.readsTold = m.reads
		m.told.Reads.Store(m.reads)
		m.told.BytesReceived.Store(m.bytesRead)
	}
	if m.bytesSent != m.sentTold {
		m.sentTold = m.bytesSent
		m.told.BytesSent.Store(m.bytesSent)
	}
	if held := l.buffers.Held(); held != m.held {
		m.held = held
		m.told.BufferedBytes.Store(uint64(held))
	}
}
