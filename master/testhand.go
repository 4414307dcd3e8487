package master

import (
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/poller"
	"github.com/usher-go/usher/internal/testhand"
	"github.com/usher-go/usher/ipc"
)

func init() { testhand.New = newTestHand }

// testHand is the accept goroutine as package handover drives it: the real code,
// turn by turn.
type testHand struct {
	*acceptor
	wrong error // the first that Turn is to return
}

// testHandDescriptors is the limit that it believes in.
const testHandDescriptors = 1000

func newTestHand(broken func(slot int, err error)) (testhand.Master, error) {
	a, err := newAcceptor(Config{Logger: hclog.NewNullLogger(), Dispatch: "least"}, nil, testHandDescriptors,
		func(n notice) {
			if b, ok := n.(queueBroken); ok {
				broken(b.spec.slot, b.err)
			}
		})
	if err != nil {
		return nil, err
	}
	return &testHand{acceptor: a}, nil
}

func (t *testHand) Hire(slot, queue, workerEnd, capacity int, entry any) {
	t.serial++
	s := t.dispatcher.open(seatSpec{
		slot: slot, queue: queue, workerEnd: workerEnd, capacity: capacity, closes: true, moves: true, entry: entry.(*ipc.Entry),
	}, t.serial)
	t.wrong = t.set.Add(queue, poller.In, tagSeat|s.serial)
}

func (t *testHand) Accept(id uint64, fd int) bool {
	d := &t.dispatcher
	if d.survey(); t.quota() == 0 {
		return false
	}
	d.hold(&ipc.Envelope{ID: id, Accepted: t.clock.Now()}, fd)
	d.totals.accepted++
	return true
}

func (t *testHand) Retire(slot int) { t.dispatcher.retire(slot) }

func (t *testHand) Bury(slot int) {
	if s := t.dispatcher.bury(slot); s != nil {
		_ = t.set.Del(s.spec.queue) // it may have been taken out
	}
}

func (t *testHand) Turn() error {
	n, err := t.set.Wait(t.events[:], 0)
	if err != nil || t.wrong != nil {
		return err
	}
	for i := range t.events[:n] {
		t.handle(t.events[i].Tag())
	}
	t.retryAt = time.Time{}
	t.dispatcher.unchoke()
	t.turn()
	return nil
}

func (t *testHand) Held() (ids []uint64) {
	d := &t.dispatcher
	for i := range d.hand.Len() {
		if d.holds(i) {
			ids = append(ids, d.hand.ID(i))
		}
	}
	return ids
}

func (t *testHand) Counts() testhand.Counts {
	c := t.dispatcher.counts()
	return testhand.Counts{
		Accepted: c.Accepted, Active: c.Active, Queued: c.Queued, Closed: c.Closed, Refused: c.Refused, Moved: c.Moved, Lost: c.Lost,
	}
}

func (t *testHand) Close() { t.acceptor.close() }
