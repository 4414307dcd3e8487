package master

import (
	"testing"

	"pgregory.net/rapid"
)

// lifeRows is the table of a slot's life as it is to be: of each life the turns
// that lead on, and where to. All others leave it as it is.
var lifeRows = map[life]map[turn]life{
	lifeGone:      {turnStarted: lifeStarting, turnEnd: lifeRemoved, turnExited: lifeGone},
	lifeStarting:  {turnReady: lifeWaiting, turnEnd: lifeCut, turnCondemned: lifeKilled, turnExited: lifeGone},
	lifeWaiting:   {turnSeated: lifeServing, turnEnd: lifeCut, turnCondemned: lifeKilled, turnExited: lifeGone},
	lifeServing:   {turnAsked: lifeAsked, turnMove: lifeMoving, turnPark: lifeParked, turnFinish: lifeFinishing, turnEnd: lifeCut, turnCondemned: lifeKilled, turnExited: lifeGone},
	lifeAsked:     {turnSpared: lifeServing, turnMove: lifeMoving, turnPark: lifeParked, turnFinish: lifeFinishing, turnEnd: lifeCut, turnCondemned: lifeCut, turnExited: lifeRemoved},
	lifeKilled:    {turnEnd: lifeCut, turnExited: lifeGone},
	lifeMoving:    {turnGaveAll: lifeHolding, turnRecall: lifeRecalled, turnEnd: lifeCut, turnCondemned: lifeCut, turnExited: lifeRemoved},
	lifeHolding:   {turnLanded: lifeLanded, turnRecall: lifeRecalled, turnEnd: lifeCut, turnCondemned: lifeCut, turnExited: lifeRemoved},
	lifeLanded:    {turnReleased: lifeEmptying, turnRecall: lifeRecalled, turnEnd: lifeCut, turnCondemned: lifeCut, turnExited: lifeRemoved},
	lifeEmptying:  {turnRecall: lifeRecalled, turnEnd: lifeCut, turnCondemned: lifeCut, turnExited: lifeRemoved},
	lifeRecalled:  {turnGaveAll: lifeReturning, turnEnd: lifeCut, turnCondemned: lifeCut, turnExited: lifeRemoved},
	lifeReturning: {turnLanded: lifeParked, turnEnd: lifeCut, turnCondemned: lifeCut, turnExited: lifeRemoved},
	lifeParked:    {turnMove: lifeMoving, turnFinish: lifeFinishing, turnEnd: lifeCut, turnCondemned: lifeCut, turnExited: lifeRemoved},
	lifeFinishing: {turnMove: lifeMoving, turnEnd: lifeCut, turnCondemned: lifeCut, turnExited: lifeRemoved},
	lifeCut:       {turnExited: lifeRemoved},
	lifeRemoved:   {},
}

// All pairs: what is to happen does, and nothing else.
func TestLife(t *testing.T) {
	for l := lifeGone; l <= lifeRemoved; l++ {
		for turn := turnStarted; turn <= turnExited; turn++ {
			want, wantOK := lifeRows[l][turn]
			if !wantOK {
				want = l
			}
			if got, ok := l.next(turn); got != want || ok != wantOK {
				t.Errorf("%v.next(%v) = %v, %v; want %v, %v", l, turn, got, ok, want, wantOK)
			}
		}
	}
}

// What status shows of each life, and what follows from it.
func TestLifeFacts(t *testing.T) {
	for l, want := range map[life]struct {
		state                                   State
		serves, stays, gives, lingers, hasGiven bool
	}{
		lifeGone:      {state: StateGone, stays: true},
		lifeStarting:  {state: StateStarting, stays: true},
		lifeWaiting:   {state: StateReady, stays: true},
		lifeServing:   {state: StateReady, serves: true, stays: true},
		lifeAsked:     {state: StateReady, serves: true},
		lifeKilled:    {state: StateDraining, stays: true},
		lifeMoving:    {state: StateDraining, gives: true},
		lifeHolding:   {state: StateDraining, gives: true, lingers: true},
		lifeLanded:    {state: StateDraining, gives: true, lingers: true, hasGiven: true},
		lifeEmptying:  {state: StateDraining, gives: true, lingers: true, hasGiven: true},
		lifeRecalled:  {state: StateDraining, lingers: true},
		lifeReturning: {state: StateDraining, lingers: true},
		lifeParked:    {state: StateDraining, lingers: true},
		lifeFinishing: {state: StateDraining, lingers: true, hasGiven: true},
		lifeCut:       {state: StateDraining},
		lifeRemoved:   {state: StateGone},
	} {
		if l.state() != want.state || l.serves() != want.serves || l.stays() != want.stays || l.gives() != want.gives ||
			l.lingers() != want.lingers || l.hasGiven() != want.hasGiven {
			t.Errorf("%v: %v, serves %v, stays %v, gives %v, lingers %v, has given %v; want %+v",
				l, l.state(), l.serves(), l.stays(), l.gives(), l.lingers(), l.hasGiven(), want)
		}
	}
}

// Whatever happens, a slot comes to its end once it is told to, and its process exits.
func TestLifeEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := lifeGone
		for range rapid.IntRange(0, 30).Draw(t, "turns") {
			l, _ = l.next(turn(rapid.IntRange(int(turnStarted), int(turnExited)).Draw(t, "turn")))
		}
		for _, turn := range []turn{turnEnd, turnExited} {
			l, _ = l.next(turn)
		}
		if l != lifeRemoved {
			t.Fatalf("it ends %v", l)
		}
	})
}
