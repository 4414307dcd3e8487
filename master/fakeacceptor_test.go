package master

import (
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// This file is the fake accept goroutine of a fakeMaster. All of it is called on the
// supervisor's goroutine.

// asked is for each request that waits for its answer: none may come while the accept
// goroutine is paused, which would wait for the supervisor, and it for that.
func (fm *fakeMaster) asked() {
	if fm.paused {
		fm.fault("the accept goroutine is asked something while it is paused")
	}
}

func (fm *fakeMaster) Open(queues []dispatch.Queue, _ ...int) {
	fm.asked()
	for _, q := range queues {
		if fm.queues[q.Slot] != nil {
			fm.fault("slot %d: opened twice", q.Slot)
		}
		fm.queues[q.Slot] = &q
	}
}

func (fm *fakeMaster) CloseQueue(slot int) {
	fm.asked()
	if fm.queues[slot] == nil || fm.queuesClosed[slot] {
		fm.fault("slot %d: closed without an open queue", slot)
	}
	fm.queuesClosed[slot] = true
}

func (fm *fakeMaster) Reaped(slot int) {
	fm.asked()
	if fm.queues[slot] == nil {
		fm.fault("slot %d: reaped without a queue", slot)
	}
	fm.inbox.Put(dispatch.QueueGone{Worker: fm.queues[slot].Worker})
	delete(fm.queues, slot)
	delete(fm.queuesClosed, slot)
}

func (fm *fakeMaster) ConnsClosed(int, ipc.Closed) {}
func (fm *fakeMaster) Loads() map[int]int          { fm.asked(); return nil }
func (fm *fakeMaster) AwaitLanding(slot int) {
	fm.asked()
	fm.inbox.Put(dispatch.Landed{Worker: fm.queues[slot].Worker})
}

func (fm *fakeMaster) AwaitArrival() {
	fm.asked()
	if !fm.holdsArrival {
		fm.inbox.Put(dispatch.Arrived{})
	}
}

func (fm *fakeMaster) MovedSoFar(int, uint64) int { fm.asked(); return 0 }
func (fm *fakeMaster) ForgetMove(int, uint64)     { fm.asked() }

func (fm *fakeMaster) BeginMove(slot int, id uint64, to, count int) {
	fm.asked()
	if fm.queuesClosed[slot] || fm.queues[slot] == nil {
		fm.fault("slot %d: an order to one that does not serve", slot)
	}
}

func (fm *fakeMaster) AnswerMove(slot int, id uint64, n int) {
	fm.asked()
	fm.inbox.Put(dispatch.MoveDone{Worker: fm.queues[slot].Worker, Order: id, Moved: max(0, n)})
}

func (fm *fakeMaster) Pause() (dispatch.State, error) {
	fm.paused = true
	return dispatch.State{}, nil
}

func (fm *fakeMaster) Resume() {
	if !fm.paused {
		fm.fault("resumed without a pause")
	}
	fm.paused = false
}

func (fm *fakeMaster) Ping() {
	if !fm.acceptStands {
		fm.notifier.alive()
	}
}

func (fm *fakeMaster) Guard(int, float64) { fm.asked() }

func (fm *fakeMaster) CloseListeners() { fm.asked(); fm.closed = true }
func (fm *fakeMaster) AnyStuck() bool {
	fm.samples.Add(1) // each sample asks this, and nothing else does
	return false
}
func (fm *fakeMaster) Meters() (m dispatch.Meters) {
	m.Totals, m.Workers = fm.Snapshot()
	return m
}

func (fm *fakeMaster) Snapshot() (dispatch.Totals, map[int]dispatch.WorkerCounts) {
	fm.asked()
	return dispatch.Totals{}, fm.counts
}

func (fm *fakeMaster) Configure(_ dispatch.Settings, listeners []dispatch.Listener) {
	fm.asked()
	fm.listening = listeners
	for number, q := range fm.queues {
		if q.Generation < fm.generation && !fm.queuesClosed[number] {
			fm.fault("slot %d: it may get what comes to listeners that it was not told of", number)
		}
	}
}
