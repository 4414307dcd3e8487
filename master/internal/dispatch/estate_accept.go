package dispatch

import (
	"errors"
	"time"

	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
)

// The errors of Pause.
var (
	ErrHolding = errors.New("connections wait for a worker that can take them")
	ErrStopped = errors.New("the accept goroutine has ended")
)

// paused is what the accept goroutine leaves while it is paused, or why it is not.
type paused struct {
	accept State
	err    error
}

// Pause stops the accept goroutine between two turns, with nothing in the hand, and
// returns what it has, until Resume. With an error it goes on: ErrHolding, if the hand
// cannot be emptied, since moved connections are in it that nobody has room for;
// BatchEmpty follows when it is empty. The supervisor calls both.
func (a *Acceptor) Pause() (State, error) {
	r := pauseRequest{make(chan paused, 1), make(chan struct{})}
	a.post(r)
	select {
	case p := <-r.paused:
		if p.err == nil {
			a.resumed = r.resumed
		}
		return p.accept, p.err
	case <-a.stopped:
		return State{}, ErrStopped
	}
}

// Resume has the accept goroutine go on, after Pause without an error.
func (a *Acceptor) Resume() {
	close(a.resumed)
	a.resumed = nil
}

// pause is Pause, and returns when Resume is called.
func (a *Acceptor) pause(r pauseRequest) {
	d := &a.dispatcher
	a.dismiss()
	defer a.hire()
	a.receiveAll() // those for whom there is no room, perhaps for long, are handed over
	if d.handful() > 0 {
		a.news.parking = true
		r.paused <- paused{err: ErrHolding}
		return
	}
	r.paused <- paused{accept: a.estate()}
	<-r.resumed
}

func (a *Acceptor) estate() State {
	d := &a.dispatcher
	e := State{
		LastID: a.lastID, Serial: a.serial, Turn: d.turn,
		Totals: d.totals.state(),
	}
	if b := a.bucket; b.rate > 0 {
		e.Bucket = &BucketState{b.rate, b.tokens, max(0, time.Since(b.asOf))}
	}
	for _, s := range d.all {
		e.Queues = append(e.Queues, s.estate())
	}
	for _, arrival := range a.unplaced() {
		e.Pending = append(e.Pending, PendingState{arrival.fd, arrival.accepted.Local, arrival.accepted.Remote, arrival.accepted.Listener, arrival.accepted.Accepted})
	}
	e.PerIP = d.census.record()
	return e
}

func (s *seat) estate() QueueState {
	t := s.final
	return QueueState{
		Slot: s.spec.Slot, Generation: s.spec.Generation, Worker: s.spec.Incarnation, PID: s.spec.PID, Queue: s.spec.FD, WorkerEnd: s.spec.WorkerEnd,
		Capacity: s.spec.Capacity, Closes: s.spec.Closes, Moves: s.spec.Moves,
		Phase: s.phase, Serial: s.serial, Sent: s.sent, Drained: s.drained, Back: s.back, Reported: s.reported,
		MovedIn: s.movedIn, Home: s.home, Landing: s.landing, Broken: s.broken, Stuck: s.stuck,
		Said:  s.said,
		Final: TallyState{t.sent, t.drained, t.back, t.received, t.said.Closed, t.said.Lost, t.movedIn, t.said.Cut, t.said},
	}
}

// seat is the reverse, with its worker's entry, or any if that is dead. Whether
// there is anything in its queue is to be found out.
func (e *QueueState) seat(entry *ipc.Entry) *seat {
	t := e.Final
	return &seat{
		spec: Queue{
			Worker: Worker{e.Slot, e.Generation, e.Worker, e.PID}, FD: e.Queue, WorkerEnd: e.WorkerEnd,
			Capacity: e.Capacity, Closes: e.Closes, Moves: e.Moves, Entry: entry,
		},
		phase: e.Phase,
		ledger: ledger{
			sent: e.Sent, drained: e.Drained, back: e.Back, movedIn: e.MovedIn, home: e.Home,
			entry: entry, closes: e.Closes, reported: e.Reported, said: e.Said,
		},
		final:  tally{sent: t.Sent, drained: t.Drained, back: t.Back, received: t.Received, movedIn: t.MovedIn, said: t.said()},
		serial: e.Serial, landing: e.Landing, broken: e.Broken, stuck: e.Stuck,
	}
}

// inherit takes over what another accept goroutine left, before this one runs.
// boards are the living workers' by slot.
func (a *Acceptor) Inherit(e *State, boards map[int]*ipc.Scoreboard) error {
	d := &a.dispatcher
	a.lastID, a.serial, d.turn = e.LastID, e.Serial, e.Turn
	d.totals = e.Totals.totals()
	if b := e.Bucket; b != nil && b.Rate == a.bucket.rate {
		a.bucket.tokens, a.bucket.asOf = min(b.Tokens, float64(b.Rate)), time.Now().Add(-b.Age)
	}
	for i := range e.Queues {
		entry := new(ipc.Entry) // of a dead one, whose counts are known
		if number := e.Queues[i].Slot; e.Queues[i].Phase != QueueReaped {
			entry = boards[number].Entry(number)
		}
		s := e.Queues[i].seat(entry)
		if s.phase == QueueOpen {
			d.seats = append(d.seats, s)
		} else {
			d.leaving = append(d.leaving, s)
		}
		if s.stuck {
			a.stuck.Store(true)
		}
		if s.phase != QueueReaped && !s.broken {
			if err := a.set.Add(s.spec.FD, poller.In, tagSeat|s.serial); err != nil {
				return err
			}
		}
	}
	for _, l := range e.Pending {
		a.lobby = append(a.lobby, arrival{ipc.Envelope{Local: l.Local, Remote: l.Remote, Listener: l.Listener, Accepted: l.Accepted}, l.FD})
	}
	if err := d.census.inherit(e); err != nil {
		return err
	}
	d.relist()
	d.waiting = true // what was stuck or queued is to be looked at
	a.inspectAt = time.Now().Add(stuckAfter)
	return nil
}
