package master

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/listen"
)

// park stops the accept goroutine between two turns, with nothing in the hand,
// and calls with, on this goroutine, for what it leaves. When with returns, it
// goes on. It reports an error, and does not call with, if the hand cannot be
// emptied: moved connections are in it that nobody has room for.
func (a *acceptor) park(with func(acceptEstate, []listen.State)) error {
	var err error
	parked, released := make(chan struct{}), make(chan struct{})
	a.mail.Put(func() {
		d := &a.dispatcher
		a.dismiss()
		defer a.hire()
		a.receiveAll() // those for whom there is no room, perhaps for long, are handed over
		if d.handful() > 0 {
			err = fmt.Errorf("%w: %d connections wait for a worker that can take them", errNotYet, d.handful())
			a.news.parking = true
			close(parked)
			return
		}
		close(parked)
		<-released
	})
	select {
	case <-parked:
	case <-a.stopped:
		return errStopping
	}
	if err == nil {
		with(a.estate(), listen.States(a.listeners))
	}
	close(released)
	return err
}

func (a *acceptor) estate() acceptEstate {
	d := &a.dispatcher
	e := acceptEstate{
		LastID: a.lastID, Serial: a.serial, Turn: d.turn,
		Totals: totalsEstate{d.totals.accepted, d.totals.closed, d.totals.refused, d.totals.moved, d.totals.lost, d.totals.cut},
	}
	if b := a.bucket; b.rate > 0 {
		e.Bucket = &bucketEstate{b.rate, b.tokens, since(b.asOf)}
	}
	for _, seats := range [2][]*seat{d.seats, d.leaving} {
		for _, s := range seats {
			e.Seats = append(e.Seats, s.estate())
		}
	}
	for _, arrival := range a.unplaced() {
		e.Lobby = append(e.Lobby, arrivalEstate{arrival.fd, arrival.accepted.Local, arrival.accepted.Remote, arrival.accepted.Listener, arrival.accepted.Accepted})
	}
	e.census = d.census.record()
	return e
}

func (s *seat) estate() seatEstate {
	t := s.final
	return seatEstate{
		Slot: s.spec.Slot, Generation: s.spec.Generation, Worker: s.spec.Incarnation, PID: s.spec.PID, Queue: s.spec.FD, WorkerEnd: s.spec.WorkerEnd,
		Capacity: s.spec.Capacity, Closes: s.spec.Closes, Moves: s.spec.Moves,
		Phase: s.phase, Serial: s.serial, Sent: s.sent, Drained: s.drained, Back: s.back, Reported: s.reported,
		MovedIn: s.movedIn, Home: s.home, Landing: s.landing, Broken: s.broken, Stuck: s.stuck,
		Said:  saidEstate{s.said.closed, s.said.lost, s.said.cut},
		Final: tallyEstate{t.sent, t.drained, t.back, t.received, t.closed, t.lost, t.movedIn, t.cut},
	}
}

// seat is the reverse, with its worker's entry, or any if that is dead. Whether
// there is anything in its queue is to be found out.
func (e *seatEstate) seat(entry *ipc.Entry) *seat {
	t := e.Final
	return &seat{
		spec: Queue{
			Worker: Worker{e.Slot, e.Generation, e.Worker, e.PID}, FD: e.Queue, WorkerEnd: e.WorkerEnd,
			Capacity: e.Capacity, Closes: e.Closes, Moves: e.Moves, Entry: entry,
		},
		phase: e.Phase,
		ledger: ledger{
			sent: e.Sent, drained: e.Drained, back: e.Back, movedIn: e.MovedIn, home: e.Home,
			entry: entry, closes: e.Closes, reported: e.Reported, said: said{e.Said.Closed, e.Said.Lost, e.Said.Cut},
		},
		final:  tally{sent: t.Sent, drained: t.Drained, back: t.Back, received: t.Received, closed: t.Closed, lost: t.Lost, movedIn: t.MovedIn, cut: t.Cut},
		serial: e.Serial, landing: e.Landing, broken: e.Broken, stuck: e.Stuck,
	}
}

// inherit takes over what another accept goroutine left, before this one runs.
// boards are the living workers' by slot.
func (a *acceptor) inherit(e *acceptEstate, boards map[int]*ipc.Scoreboard) error {
	d := &a.dispatcher
	a.lastID, a.serial, d.turn = e.LastID, e.Serial, e.Turn
	d.totals = totals{e.Totals.Accepted, e.Totals.Closed, e.Totals.Refused, e.Totals.Moved, e.Totals.Lost, e.Totals.Cut}
	if b := e.Bucket; b != nil && b.Rate == a.bucket.rate {
		a.bucket.tokens, a.bucket.asOf = min(b.Tokens, float64(b.Rate)), ago(b.Age)
	}
	for i := range e.Seats {
		entry := new(ipc.Entry) // of a dead one, whose counts are known
		if number := e.Seats[i].Slot; e.Seats[i].Phase != seatDead {
			entry = boards[number].Entry(number)
		}
		s := e.Seats[i].seat(entry)
		if s.phase == seatOpen {
			d.seats = append(d.seats, s)
		} else {
			d.leaving = append(d.leaving, s)
		}
		if s.stuck {
			a.stuck.Store(true)
		}
		if s.phase != seatDead && !s.broken {
			if err := a.set.Add(s.spec.FD, poller.In, tagSeat|s.serial); err != nil {
				return err
			}
		}
	}
	for _, l := range e.Lobby {
		a.lobby = append(a.lobby, arrival{ipc.Envelope{Local: l.Local, Remote: l.Remote, Listener: l.Listener, Accepted: l.Accepted}, l.FD})
	}
	if err := d.census.inherit(e); err != nil {
		return err
	}
	d.waiting = true // what was stuck or queued is to be looked at
	a.inspectAt = time.Now().Add(stuckAfter)
	return nil
}
