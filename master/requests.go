package master

import (
	"slices"

	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/listen"
)

// This file is what other goroutines may ask of the accept goroutine.

// do runs f on the accept goroutine and returns when it has run. After the
// accept goroutine has ended it runs f at once: nobody else does then.
func (a *acceptor) do(f func()) {
	done := make(chan struct{})
	a.mail.Put(func() { f(); close(done) })
	select {
	case <-done:
	case <-a.stopped:
		select {
		case <-done:
		default:
			f()
		}
	}
}

// ring passes on a worker's word that it has closed connections: the bell, if
// it keeps the scoreboard, or else their number; and, if asked for, their ids.
func (a *acceptor) ring(slot int, closed ipc.Closed) {
	a.mail.Put(func() {
		if s := a.dispatcher.find(slot); s != nil && !s.keepsBoard() {
			s.reported = min(s.reported+uint64(max(closed.Count, len(closed.IDs))), s.sent-s.drained-s.back)
		}
		for _, id := range closed.IDs {
			a.dispatcher.census.gone(id)
		}
	})
}

// open lets workers have connections, all from the same moment on. It takes over
// their queues' descriptors.
func (a *acceptor) open(specs []Queue) {
	a.do(func() {
		for _, spec := range specs {
			a.serial++
			s := a.dispatcher.open(spec, a.serial)
			if err := a.set.Add(spec.FD, poller.In, tagSeat|s.serial); err != nil {
				a.dispatcher.report(QueueBroken{spec.Worker, err})
			}
		}
	})
}

// retire stops sending to a worker that is asked to finish.
func (a *acceptor) retire(slot int) {
	a.do(func() { a.dispatcher.retire(slot) })
}

// bury has the queue of a reaped worker placed anew. When it returns, the
// scoreboard entry is no longer used.
func (a *acceptor) bury(slot int) {
	a.do(func() {
		if s := a.dispatcher.bury(slot); s != nil {
			_ = a.set.Del(s.spec.FD) // it may have been taken out when it broke
		}
	})
}

// try begins a trial of a generation that connections move to: no more than
// limit, a share of those tried, may fail. Generation 0 ends it.
func (a *acceptor) try(generation int, limit float64) {
	a.do(func() { a.dispatcher.try(generation, limit) })
}

// anyStuck reports whether some worker takes nothing from its queue.
func (a *acceptor) anyStuck() bool { return a.stuck.Load() }

// loads returns the load of each open seat by slot.
func (a *acceptor) loads() map[int]int {
	loads := make(map[int]int)
	a.do(func() {
		for _, s := range a.dispatcher.seats {
			loads[s.spec.Slot] = s.tally().load()
		}
	})
	return loads
}

// snapshot returns the totals, the tally of each living worker by slot, and
// what the listeners are.
func (a *acceptor) snapshot() (counts Counts, tallies map[int]tally, listeners []ListenerStatus) {
	tallies = make(map[int]tally)
	a.do(func() {
		listeners = listen.Describe(a.listeners)
		counts = a.dispatcher.counts()
		for _, seats := range [2][]*seat{a.dispatcher.seats, a.dispatcher.leaving} {
			for _, s := range seats {
				if s.phase != seatDead {
					tallies[s.spec.Slot] = s.tally()
				}
			}
		}
	})
	return counts, tallies, listeners
}

// closeListeners accepts what already waits in the backlogs, as far as there
// is room, and closes the listeners.
func (a *acceptor) closeListeners() {
	a.do(func() {
		a.dismiss()
		for _, l := range a.listeners {
			l.StopQueueing()
		}
		a.receiveAll()
		a.turnAwayLobby()
		for i, l := range a.listeners {
			a.takeBacklog(l)
			a.unwatch(&a.doors[i])
			l.Close()
		}
		a.setListeners(nil)
	})
}

// heldListeners returns the listeners there are, borrowed, and how many sockets each
// TCP address has, one for each accept goroutine.
func (a *acceptor) heldListeners() (held []*listen.Listener, sockets int) {
	a.do(func() { held, sockets = slices.Clone(a.listeners), 1+len(a.greeters) })
	return held, sockets
}

// apply puts a configuration in force, and takes over the listeners that are
// added. What already waits at a listener that is removed is accepted first, as
// far as there is room.
func (a *acceptor) apply(c *Config, change listen.Change) {
	a.do(func() {
		a.configure(c)
		a.dismiss()
		defer a.hire()
		a.watchListeners(false)
		a.ready = nil
		for _, l := range change.Removed {
			l.StopQueueing()
			a.takeBacklog(l)
			l.Close()
		}
		a.setListeners(change.Apply(a.listeners, a.log))
	})
}

// configure sets policy and limits.
func (a *acceptor) configure(c *Config) {
	a.limit(c)
	a.dispatcher.policy, a.dispatcher.byPeer = policies[c.Dispatch], c.Dispatch == "hash"
}
