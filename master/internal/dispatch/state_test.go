package dispatch

import (
	"reflect"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/fieldtest"
	"github.com/usher-go/usher/ipc"
)

// What a new field of these means for an upgrade in place is to be thought of:
// it is carried in a State, or here is why it need not be.
func TestStateKnowsEveryField(t *testing.T) {
	const (
		carried = "carried"
		made    = "made anew, from the settings or by the constructor"
		moment  = "of this moment: found out again"
		calm    = "empty: an upgrade waits for that"
	)
	for _, test := range []struct {
		of     any
		fields map[string]string
	}{
		{workerQueue{}, map[string]string{
			"spec": carried, "phase": carried, "ledger": carried, "final": carried, "further": carried, "serial": carried, "blocked": moment,
			"gaveBack": moment, "order": "as of slot", "landing": carried, "broken": carried, "emptied": moment, "stuck": carried, "badPackets": "said with the next, if there are more", "badPacketError": "likewise",
			"seenQueued": moment, "seenReceived": moment, "seenSequence": moment, "seenFront": moment,
		}},
		{Worker{}, map[string]string{"Slot": carried, "Generation": carried, "Incarnation": carried, "PID": carried}},
		{Queue{}, map[string]string{
			"Worker": carried, "FD": carried, "WorkerEnd": carried, "Capacity": carried, "Closes": carried, "Moves": carried, "Memory": made,
		}},
		{ledger{}, map[string]string{
			"sent": carried, "drained": carried, "back": carried, "movedIn": carried, "returned": carried, "entry": made, "closes": carried, "reported": carried,
			"said": carried,
		}},
		{tally{}, map[string]string{
			"sent": carried, "drained": carried, "back": carried, "received": carried, "said": carried,
			"movedIn": carried, "returned": "follows from the queue's", "stuck": "of a dead one: it is not", "failed": "of a dead one: booked by the guard",
		}},
		{totals{}, map[string]string{"accepted": carried, "refused": carried, "moved": carried, "lost": carried, "said": carried, "further": carried, "refusedBy": carried}},
		{perIPLimiter{}, map[string]string{"limit": made, "counts": "follows from entries", "entries": carried}},
		{dispatcher{}, map[string]string{
			"log": made, "packets": made, "discards": "closed with the program before", "movedBefore": calm, "guard": calm, "report": made, "batch": calm, "out": calm, "stages": calm,
			"from": calm, "to": calm, "policy": made,
			"envelope": made, "open": carried, "closed": carried, "all": "follows from those", "candidates": moment, "target": moment, "turn": carried,
			"capacity": moment, "inspectAgain": moment,
			"perIP": carried, "maxQueuedTotal": made, "totals": carried, "watchQueue": made,
		}},
		{Acceptor{}, map[string]string{
			"mail": "what is asked later is asked of the next one", "stuck": carried, "stopped": made, "resumed": calm, "goroutine": carried,
		}},
		{acceptGoroutine{}, map[string]string{
			"log": made, "mail": made, "stuck": made, "set": made, "waker": made, "events": moment,
			"dispatcher": carried, "reserve": made, "listeners": "carried by the supervisor", "sockets": made, "subacceptors": "as many as there are sockets for", "pending": carried, "ready": moment, "accepts": moment, "acceptCounts": carried, "clock": made,
			"lastID": carried, "serial": carried, "atOnce": made, "limits": "made, but for the bucket, which is carried",
			"scheduling": moment, "coalescing": moment, "timers": moment,
			"awaited": calm, "ending": calm,
		}},
	} {
		fieldtest.Known(t, test.of, test.fields, "what becomes of it in an upgrade?")
	}
}

// A queue comes back as it was.
func TestStateOfQueue(t *testing.T) {
	var s QueueState
	fieldtest.Fill(&s)
	s.Final.Counters.Closed, s.Final.Counters.Lost, s.Final.Counters.Cut = s.Final.Closed, s.Final.Lost, s.Final.Cut // they are there twice
	if got := s.queue(Memory{Entry: new(ipc.Entry)}).state(); !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v, want %+v", got, s)
	}
}

// What the rate grants goes on in the next program: an upgrade is no way to a burst.
func TestStateCarriesBucket(t *testing.T) {
	r := newRig(t, 1000)
	r.do(func() {
		r.limits.rate, r.limits.bucket = 10, newBucket(10, time.Now().Add(-time.Millisecond))
		r.limits.bucket.tokens = 0.5
	})
	e, err := r.Pause()
	if err != nil {
		t.Fatal(err)
	}
	r.Resume()
	for rate, most := range map[int]float64{10: 0.5, 20: 20} { // another one begins anew
		next := Acceptor{goroutine: &acceptGoroutine{limits: limits{bucket: newBucket(rate, time.Now())}}}
		if err := next.Inherit(&e, nil); err != nil {
			t.Fatal(err)
		}
		if next.goroutine.limits.bucket.tokens != most || next.goroutine.limits.bucket.asOf.After(time.Now()) {
			t.Errorf("rate %d: %+v, want %v tokens", rate, next.goroutine.limits.bucket, most)
		}
	}
}

// A queue whose worker should live, and has no entry, is refused: nothing could be
// counted of it.
func TestInheritWantsTheEntryOfEachWorker(t *testing.T) {
	r := newRig(t, 1000)
	e := State{Queues: []QueueState{{Slot: 3, Phase: QueueOpen, Queue: -1, WorkerEnd: -1}}}
	r.do(func() {
		if err := r.Inherit(&e, nil); err == nil || len(r.dispatcher.all) != 0 {
			t.Errorf("%v, and %d queues", err, len(r.dispatcher.all))
		}
	})
}
