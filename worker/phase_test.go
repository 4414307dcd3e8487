package worker

import (
	"fmt"
	"testing"
)

// The life of a connection as the drawing in phase.go has it: what is not here
// changes nothing, or cannot happen.
func TestPhases(t *testing.T) {
	type step struct {
		from phase
		on   phaseEvent
	}
	changes := map[step]phase{
		{phaseDialling, eventReached}:    phaseOpen,
		{phaseDialling, eventClose}:      phaseBroken,
		{phaseDialling, eventFail}:       phaseBroken,
		{phaseDialling, eventRelease}:    phaseClosed,
		{phaseHandshaking, eventReady}:   phaseOpen,
		{phaseHandshaking, eventClose}:   phaseClosing,
		{phaseHandshaking, eventFail}:    phaseBroken,
		{phaseHandshaking, eventRelease}: phaseClosed,
		{phaseHandshaking, eventLeave}:   phaseOver,
		{phaseOpen, eventClose}:          phaseClosing,
		{phaseOpen, eventFail}:           phaseBroken,
		{phaseOpen, eventRelease}:        phaseClosed,
		{phaseOpen, eventLeave}:          phaseOver,
		{phaseClosing, eventFlushed}:     phaseLingering,
		{phaseClosing, eventFail}:        phaseBroken,
		{phaseClosing, eventRelease}:     phaseClosed,
		{phaseLingering, eventFail}:      phaseBroken,
		{phaseLingering, eventRelease}:   phaseClosed,
		{phaseBroken, eventRelease}:      phaseClosed,
		{phaseClosed, eventReport}:       phaseOver,
	}
	tooLate := map[phaseEvent]phase{ // from which phase on the event changes nothing more
		eventClose: phaseClosing, eventFail: phaseBroken, eventReport: phaseOver,
	}
	for from := range phases {
		for on := range phaseEvents {
			want, ok := changes[step{from, on}]
			if since, listed := tooLate[on]; !ok && listed && from >= since {
				want, ok = from, true
			}
			if !ok {
				want = impossible
			}
			if got := phaseRules[from].then[on]; got != want {
				t.Errorf("%v, event %d: got %d, want %d", from, on, got, want)
			}
			t.Run(fmt.Sprint(from, on), func(t *testing.T) {
				defer func() {
					if panicked := recover() != nil; panicked == ok {
						t.Errorf("panicked: %v", panicked)
					}
				}()
				if got := from.after(on); got != want {
					t.Errorf("got %v", got)
				}
			})
		}
	}
}

// No phase gives back a right that one before it has lost, but for input: that is
// read to the end while a connection lingers.
func TestRightsAreLostForGood(t *testing.T) {
	for from := phaseOpen; from < phases; from++ {
		for _, to := range phaseRules[from].then {
			if to == impossible {
				continue
			}
			if gained := phaseRules[to].allows &^ phaseRules[from].allows; gained != 0 && (to != phaseLingering || gained != mayRead) {
				t.Errorf("%v, then %v: gains %b", from, to, gained)
			}
		}
	}
}

// Each part of the state has bits of its own, and a step changes the phase alone.
func TestStatePartsAreApart(t *testing.T) {
	full := newState(phaseOpen, traitDialled|traitMoved|traitPinned|traitOwnIdle|traitDrained|traitLarge|traitWrapped)
	full.setWatch(hungUp)
	full.setFin(finSent)
	full.hold(holdAny)
	full.owe(dueSettle | dueLow | dueReplay | dueEnd | dueDrain)
	parts := []state{phaseMask, watchMask, finMask, state(holdAny), state(dueSettle | dueLow | dueReplay | dueEnd | dueDrain), aside, state(traitWrapped)}
	var all state
	for i, part := range parts {
		if all&part != 0 {
			t.Errorf("part %d has bits of another", i)
		}
		all |= part
	}
	if full.phase() != phaseOpen || full.watch() != hungUp || full.fin() != finSent {
		t.Errorf("%v, watch %d, fin %d", full.phase(), full.watch(), full.fin())
	}
	s := full
	s.step(eventClose)
	if s&^phaseMask != full&^phaseMask || s.phase() != phaseClosing {
		t.Errorf("a step makes %b of %b", s, full)
	}
	s.setWatch(unwatched)
	s.setFin(finNone)
	s.unhold(holdAny)
	s.clear(dueSettle | dueLow | dueReplay | dueEnd | dueDrain)
	if s&^aside&^state(traitWrapped) != state(phaseClosing) {
		t.Errorf("%b is left", s&^aside)
	}
}
