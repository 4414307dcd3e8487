package ipc

import (
	"slices"
	"strings"
	"testing"
)

// Every stage but the beginning is reached, only the ends lead nowhere, and each
// stage has the owner that the table's events say: whoever sends, resumes or
// closes has to own it.
func TestOwnership(t *testing.T) {
	sender, queue, worker := []Owner{OwnerMaster, OwnerWorker}, []Owner{OwnerKernel}, []Owner{OwnerWorker}
	owners := map[Event][]Owner{
		EventSend: sender, EventRefuse: sender, EventTake: queue, EventReceive: queue,
		EventOpen: worker, EventFail: worker, EventFreeze: worker, EventResume: worker,
	}
	reached := map[Stage]bool{StageBacklog: true}
	for from := range stages {
		leads := false
		for event := range events {
			to, ok := from.Next(event)
			if !ok {
				if to != from {
					t.Errorf("%v: %v, which cannot happen, leads to %v", from, event, to)
				}
				continue
			}
			leads, reached[to] = true, true
			if owners, ok := owners[event]; ok && !slices.Contains(owners, from.Owner()) {
				t.Errorf("%v: %v by owner %d", from, event, from.Owner())
			}
			if event == EventSend && to.Owner() != OwnerKernel {
				t.Errorf("%v: sent, and the owner is %d", from, to.Owner())
			}
		}
		if ended := from == StageClosed || from == StageLost; leads == ended {
			t.Errorf("%v leads on: %v", from, leads)
		}
		if owned := from != StageBacklog && from != StageClosed && from != StageLost; owned != (from.Owner() != OwnerNone) {
			t.Errorf("%v has owner %d", from, from.Owner())
		}
		if strings.Contains(from.String(), "stage") {
			t.Errorf("stage %d has no name", from)
		}
	}
	if len(reached) != int(stages) {
		t.Errorf("%d of %d stages are reached", len(reached), stages)
	}
}

// The two journeys that there are, and what must never be.
func TestJourneys(t *testing.T) {
	var s Stage
	for _, e := range []Event{
		EventAccept, EventRefuse, EventSend, EventTake, EventSend, EventReceive, EventOpen, // a queue rescued
		EventFreeze, EventRefuse, EventResume, EventFreeze, EventSend, EventTake, EventSend, EventReceive, EventOpen, // moved
		EventClose,
	} {
		s.Step(e)
	}
	if s != StageClosed {
		t.Errorf("%v, want closed", s)
	}
	for _, test := range []struct {
		stage Stage
		event Event
	}{
		{StageQueued, EventClose}, {StageQueued, EventResume}, {StageFrozen, EventClose}, {StageFrozen, EventFreeze},
		{StageServing, EventSend}, {StageServing, EventReceive}, {StageClosed, EventClose}, {stages, EventClose}, {StageHeld, events},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v: %v did not panic", test.stage, test.event)
				}
			}()
			s := test.stage
			s.Step(test.event)
		}()
	}
}
