package master

import "time"

// sampleEvery is how often the supervisor looks at its workers, and the least
// time between two looks. While they rest it looks less often: see watch.
const sampleEvery = time.Second

// sampleLate is how late a sample says that the master itself, or the machine,
// was stopped: nothing follows from the gap before it.
const sampleLate = 3 * sampleEvery / 2

// beat is one sample of a worker's scoreboard entry, and of what the master
// knows beside it.
type beat struct {
	sequence uint64 // odd while handlers run, even while the loop waits
	received uint64
	queued   bool // connections wait in its queue
	stopped  bool // the process is stopped or traced
}

// restsSince reports whether the worker waits, and has since the sample before
// done nothing but wait: its loop has not woken up.
func (b beat) restsSince(before beat) bool {
	return b.sequence%2 == 0 && b.sequence == before.sequence && b.received == before.received && !b.queued
}

// pulse judges a worker by successive beats. The worker needs no clock for it.
type pulse struct {
	last  beat
	since time.Time // since when the worker stands still; zero: it does not
}

// feel takes a sample and returns for how long the worker has stood still: in
// one handler, or with connections in its queue that it does not take. It rounds
// to a tenth of sampleEvery: samples come a little early as often as late, and a
// limit of two samples is to be reached by the second.
func (p *pulse) feel(now time.Time, b beat) time.Duration {
	busy := b.sequence%2 == 1 || b.queued && b.received == p.last.received
	still := b.sequence != 0 && b.sequence == p.last.sequence && busy && !b.stopped
	before := p.last
	p.last = b
	if !still {
		p.since = time.Time{}
		return 0
	}
	if p.since.IsZero() {
		p.since = now
		// Then it has stood since the sample before. That was sampleEvery ago: where
		// a rest lay between, the worker waited before it, and no queue held anything.
		if !before.stopped {
			p.since = now.Add(-sampleEvery)
		}
	}
	return now.Sub(p.since).Round(sampleEvery / 10)
}

// reset forgets for how long the worker has stood still.
func (p *pulse) reset() { p.since = time.Time{} }
