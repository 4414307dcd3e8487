package master

import (
	"time"

	"github.com/usher-go/usher/master/internal/dispatch"
)

// sampleEvery is how often the supervisor samples its workers, and the least time
// between two samples. While they rest it does so less often: see sampling.
const sampleEvery = time.Second

// sampleLate is how late a sample says that the master itself, or the machine,
// was stopped: nothing follows from the gap before it.
const sampleLate = 3 * sampleEvery / 2

// longestRest bounds how long after its beginning a hang may go unseen.
const longestRest = 15 * time.Second

// sampling is when the supervisor samples its workers: to find those that hang, and
// those that are due to be recycled. It does so each sampleEvery; but where a sample
// found nothing that moves, and nothing that could become due, the next one comes
// after restEvery, so that the master sleeps while its workers do.
//
// Whatever reaches the supervisor ends the rest. Clients do not: a handler that
// an idle server's first byte hangs is found by the next sample, a restEvery
// later at most, and only then does hang-timeout begin to count. So nothing is
// added to the way of a connection.
//
// The service manager's watchdog has times of its own, beside the samples. All of it
// belongs to the supervisor's goroutine.
type sampling struct {
	sleeper
	due     time.Time // when the next sample is planned
	resting bool      // that is a rest away
	ping    time.Time // when to tell the service manager that we are alive; zero: never
}

// restEvery is how often to sample while nothing happens: a fraction of what is to
// be found in time. With hangTimeout 0 that is not asked for.
func restEvery(hangTimeout time.Duration) time.Duration {
	every := longestRest
	if hangTimeout > 0 {
		every = min(every, hangTimeout/4)
	}
	return max(every, sampleEvery)
}

// plan plans the next sample.
func (p *sampling) plan(now time.Time, every time.Duration) {
	p.due, p.resting = now.Add(every), every > sampleEvery
	p.arm(now)
}

// arm sets the sleeper to what is due first.
func (p *sampling) arm(now time.Time) {
	first := p.due
	if !p.ping.IsZero() && p.ping.Before(first) {
		first = p.ping
	}
	p.set(first.Sub(now))
}

// endRest ends a rest: something happened, and what follows from it shows in a
// sample soon.
func (p *sampling) endRest() {
	if p.resting {
		p.plan(time.Now(), sampleEvery)
	}
}

// timeUp does what is due. Perhaps nothing is: the sleeper may report late what was set
// before.
func (s *supervisor) timeUp(now time.Time) {
	if !s.sampling.ping.IsZero() && !now.Before(s.sampling.ping) {
		s.alive(now)
	}
	if !now.Before(s.sampling.due) {
		s.sample(now)
		return
	}
	s.sampling.arm(now)
}

// alive tells the service manager, if it wants to know, and plans the next time.
func (s *supervisor) alive(now time.Time) {
	if every := s.notifier.every(); every > 0 {
		s.dispatch.Ping() // the accept goroutine tells the manager: see happened
		s.sampling.ping = now.Add(every)
	}
}

// sample takes one sample of every worker, acts on what it shows, and plans the next.
func (s *supervisor) sample(now time.Time) {
	late := now.Sub(s.sampling.due) > sampleLate
	stuck := s.dispatch.AnyStuck()
	var workers map[int]dispatch.WorkerCounts
	if stuck { // otherwise no queue holds anything for long
		_, workers = s.dispatch.Snapshot()
	}
	moving := false
	for slot := range s.slots.all() {
		if !slot.life.serves() && !slot.kept() {
			continue // it has an alarm, which ends it whether it hangs or not
		}
		if late {
			slot.hang.reset()
		}
		slot.rate.observe(now, slot.entry().Received.Load())
		t := workers[slot.number]
		before := slot.hang.last
		s.checkHang(slot, now, t.Queued > 0 || t.Stuck) // what was queued at a stuck one is given to others
		moving = moving || !slot.hang.last.restsSince(before)
	}
	s.rotateTicketKeys(now)
	s.giveAccessLogs()
	s.recycle(now)
	s.rebalance()
	s.releaseEmpty()
	s.sayStatus()
	every := sampleEvery
	if !moving && !stuck && s.mayRest() {
		every = restEvery(s.config.HangTimeout)
	}
	s.sampling.plan(now, every)
}

// mayRest reports whether nothing is under way, and nothing is asked for that only a
// sample finds due.
func (s *supervisor) mayRest() bool {
	c := s.config
	if s.reload != nil || s.stopping != stopNot || c.Rebalance || c.RecycleConns > 0 || c.RecycleAge > 0 || c.RecycleRSS > 0 {
		return false
	}
	return !s.slots.some(func(slot *slot) bool { return !slot.life.serves() })
}
