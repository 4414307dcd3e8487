package master

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/usher-go/usher/master/internal/dispatch"
)

// account counts what becomes of the connections of workers that drain for one
// reason: a reload, or fewer workers wanted. It is open until each of them has given
// back all that it can, and those connections have arrived elsewhere. It belongs to the
// supervisor's goroutine.
type account struct {
	entries []*accountEntry
	before  dispatch.Totals // as it was opened
	sum     departures      // of the workers that are entered
	silent  []string        // the workers that were entered without having answered
	limit   *time.Timer     // of stillLimit
	closed  bool
}

// accountEntry is a draining worker in an account.
type accountEntry struct {
	slot        *slot
	incarnation int
	before      dispatch.WorkerCounts // as it began to drain
	done        uint64                // its counts' Done when the limit was last reached
	over        bool                  // it is entered in the sum: nothing more is expected of it
}

// lives reports whether the worker has a process: after that its slot's counts are another's.
func (e *accountEntry) lives() bool {
	return e.slot.process != nil && e.slot.incarnation == e.incarnation
}

// departures are what became of the connections of draining workers.
type departures struct {
	Moved   uint64 `json:"moved"`   // to another worker
	Drained uint64 `json:"drained"` // finished by themselves
	Staying uint64 `json:"staying"` // still where they were, to finish there
	Lost    uint64 `json:"lost"`
}

// fields are how the log has them.
func (d departures) fields() []any {
	return []any{"moved", d.Moved, "drained", d.Drained, "finishing", d.Staying, "lost", d.Lost}
}

// beside adds to what went wrong what became of connections all the same, if anything did.
func (d departures) beside(err error) error {
	if err == nil || d == (departures{}) {
		return err
	}
	return fmt.Errorf("%w; moved: %d, drained: %d, staying: %d, lost: %d", err, d.Moved, d.Drained, d.Staying, d.Lost)
}

// stillLimit is for how long a worker in an account may give nothing back, and
// close nothing, before the account is closed without it. It goes on draining.
const stillLimit = 10 * time.Second

// openAccount begins an account of workers that are about to drain.
func (s *supervisor) openAccount(draining []*slot) *account {
	totals, workers := s.dispatch.Snapshot()
	a := &account{before: totals}
	for _, slot := range draining {
		if slot.process != nil && slot.queueOpen {
			a.join(slot, workers[slot.number])
		}
	}
	s.accounts = append(s.accounts, a)
	s.watchAccount(a)
	return a
}

// join adds a worker that is about to drain, or one that drains already and is now to
// move the connections that it has kept.
func (a *account) join(slot *slot, now dispatch.WorkerCounts) {
	a.entries = append(a.entries, &accountEntry{slot: slot, incarnation: slot.incarnation, before: now, done: now.Done()})
}

// watchAccount enters, again and again after stillLimit, the workers from which nothing
// has come for so long.
func (s *supervisor) watchAccount(a *account) {
	a.limit = s.after(stillLimit, func() {
		if a.closed {
			return
		}
		_, workers := s.dispatch.Snapshot()
		for _, e := range a.entries {
			now, known := workers[e.slot.number]
			switch {
			case e.over || !known || !e.lives(): // queueGone follows, unless it came already
			case now.Done() != e.done:
				e.done = now.Done()
			default:
				who := fmt.Sprintf("slot %d (pid %d)", e.slot.number, e.slot.pid())
				if e.slot.life == lifeParked {
					who += ", for whose connections there is nowhere to go"
				}
				a.silent = append(a.silent, who)
				a.enter(e, now)
			}
		}
		s.watchAccount(a)
	})
}

// enter adds up what became of one worker's connections since before.
func (a *account) enter(e *accountEntry, now dispatch.WorkerCounts) {
	e.over = true
	moved := (now.GaveBack - e.before.GaveBack) - (now.Returned - e.before.Returned)
	a.sum.Moved += moved
	a.sum.Drained += (now.Said.Closed - now.Said.Lost) - (e.before.Said.Closed - e.before.Said.Lost)
	a.sum.Staying += uint64(max(0, now.Load()))
}

// enterGiven enters the workers that have nothing more to give back for now.
func (s *supervisor) enterGiven() {
	if len(s.accounts) == 0 {
		return
	}
	var workers map[int]dispatch.WorkerCounts
	for _, a := range s.accounts {
		for _, e := range a.entries {
			if e.over || !e.lives() || !e.slot.life.hasGiven() {
				continue
			}
			if workers == nil {
				_, workers = s.dispatch.Snapshot()
			}
			a.enter(e, workers[e.slot.number])
		}
	}
	s.accounts = slices.DeleteFunc(s.accounts, func(a *account) bool { return a.closed })
}

// queueGone enters a dead worker: its queue is empty, so its counts are final.
func (s *supervisor) queueGone(gone dispatch.QueueGone) {
	for _, a := range s.accounts {
		for _, e := range a.entries {
			if !e.over && e.slot.number == gone.Slot && e.incarnation == gone.Incarnation && e.slot.generation == gone.Generation {
				lost := uint64(gone.Final.Load()) // they died with it
				a.enter(e, gone.Final)
				a.sum.Staying -= lost
			}
		}
	}
}

// over reports whether every worker is entered.
func (a *account) over() bool {
	return !slices.ContainsFunc(a.entries, func(e *accountEntry) bool { return !e.over })
}

// closeAccount ends the account, and returns what became of the connections. Lost are all
// that were lost meanwhile, in whichever worker. The error names the workers that have not
// answered; their connections count as staying.
func (s *supervisor) closeAccount(a *account) (departures, error) {
	a.closed = true
	a.limit.Stop()
	totals, workers := s.dispatch.Snapshot()
	for _, e := range a.entries { // those left: something has failed before they answered
		if !e.over && e.lives() {
			a.enter(e, workers[e.slot.number])
		}
	}
	a.sum.Lost = totals.Lost - a.before.Lost
	if len(a.silent) == 0 {
		return a.sum, nil
	}
	return a.sum, fmt.Errorf("nothing came for %v from %s, whose connections count as staying, and move when they can; see usher status",
		stillLimit, strings.Join(a.silent, ", "))
}
