package master

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// lifeRule says of one event in which lives it can happen, and what follows: by what
// is true of a life, and only where that is the point of it by its name.
type lifeRule struct {
	event lifeEvent
	when  func(life) bool
	then  func(life) life
}

func in(lives ...life) func(life) bool {
	return func(l life) bool { return slices.Contains(lives, l) }
}

func to(l life) func(life) life { return func(life) life { return l } }

// running reports whether there is a process.
func running(l life) bool { return l != lifeGone && l != lifeRemoved }

// doomed reports whether the process was told to end, or killed.
func doomed(l life) bool { return l == lifeKilled || l == lifeCut }

// afterDeath is where a slot is whose worker is gone: those wanted are replaced.
func afterDeath(l life) life {
	if l.stays() {
		return lifeGone
	}
	return lifeRemoved
}

// lifeRules are what lifeTable is to say.
var lifeRules = []lifeRule{
	// A worker comes up in four steps; none can be left out, nor happens twice.
	{eventStarted, in(lifeGone), to(lifeStarting)},
	{eventReady, in(lifeStarting), to(lifeWaiting)},
	{eventOpened, in(lifeWaiting), to(lifeServing)},

	// One that serves can be asked to drain, and spared again.
	{eventAsked, func(l life) bool { return l.serves() && l.stays() }, to(lifeAsked)},
	{eventSpared, func(l life) bool { return l.serves() && !l.stays() }, to(lifeServing)},

	// Whoever serves may be sent away in each of three ways; who keeps connections
	// for lack of a place may be given one, or, if it was not to finish, told to.
	{eventMove, func(l life) bool { return l.serves() || l == lifeParked || l == lifeFinishing }, to(lifeMoving)},
	{eventPark, life.serves, to(lifeParked)},
	{eventFinish, func(l life) bool { return l.serves() || l == lifeParked }, to(lifeFinishing)},

	// What moves is given, arrives, and is let go; while that lasts it may be
	// recalled, and then what was given last arrives as well.
	{eventGaveAll, in(lifeMoving, lifeRecalled), func(l life) life {
		if l.gives() {
			return lifeHolding
		}
		return lifeReturning
	}},
	{eventLanded, in(lifeHolding, lifeReturning), func(l life) life {
		if l.gives() {
			return lifeLanded
		}
		return lifeParked
	}},
	{eventReleased, in(lifeLanded), to(lifeEmptying)},
	{eventRecall, life.gives, to(lifeRecalled)},

	// Any process can be killed, once, and any told to end, which a kill for another
	// reason does not replace; without a process the slot is at its end at once.
	{eventFailed, func(l life) bool { return running(l) && !doomed(l) }, func(l life) life {
		if l.stays() {
			return lifeKilled
		}
		return lifeCut
	}},
	{eventEnd, func(l life) bool { return l != lifeCut && l != lifeRemoved }, func(l life) life {
		if running(l) {
			return lifeCut
		}
		return lifeRemoved
	}},
	{eventExited, func(l life) bool { return l != lifeRemoved }, afterDeath}, // of gone: it could not be started
}

// brokenRule returns the first rule that a table does not follow, or nothing.
func brokenRule(table *[lifeRemoved + 1]map[lifeEvent]life) string {
	for _, rule := range lifeRules {
		for l := lifeGone; l <= lifeRemoved; l++ {
			next, ok := table[l][rule.event]
			switch want := rule.when(l); {
			case ok != want:
				return fmt.Sprintf("%v in %v: possible %v, want %v", rule.event, l, ok, want)
			case ok && next != rule.then(l):
				return fmt.Sprintf("%v in %v: leads to %v, want %v", rule.event, l, next, rule.then(l))
			}
		}
	}
	return ""
}

// The table says what the rules say.
func TestLife(t *testing.T) {
	if broken := brokenRule(&lifeTable); broken != "" {
		t.Error(broken)
	}
	for event := eventStarted; event <= eventExited; event++ {
		if !slices.ContainsFunc(lifeRules, func(r lifeRule) bool { return r.event == event }) {
			t.Errorf("%v: there is no rule", event)
		}
	}
	if l, ok := lifeRemoved.next(eventStarted); l != lifeRemoved || ok {
		t.Errorf("what cannot happen leads to %v, %v", l, ok)
	}
}

// No cell of the table can be anything else: a transition left out, added, or leading
// elsewhere breaks a rule.
func TestEachTransitionIsRuled(t *testing.T) {
	for l := lifeGone; l <= lifeRemoved; l++ {
		for event := eventStarted; event <= eventExited; event++ {
			was, possible := lifeTable[l][event]
			for to := lifeGone - 1; to <= lifeRemoved; to++ { // the one before the first: it is left out
				if none := to < lifeGone; none && !possible || !none && possible && to == was {
					continue
				}
				mutated := lifeTable
				mutated[l] = maps.Clone(lifeTable[l])
				if delete(mutated[l], event); to >= lifeGone {
					mutated[l][event] = to
				}
				if brokenRule(&mutated) == "" {
					t.Errorf("%v in %v may lead to %d, and no rule is broken", event, l, to)
				}
			}
		}
	}
}

// What status shows of each life, and what follows from it.
func TestLifeFacts(t *testing.T) {
	for l, want := range map[life]struct {
		state                                   shownState
		serves, stays, gives, lingers, hasGiven bool
	}{
		lifeGone:      {state: stateGone, stays: true},
		lifeStarting:  {state: stateStarting, stays: true},
		lifeWaiting:   {state: stateReady, stays: true},
		lifeServing:   {state: stateReady, serves: true, stays: true},
		lifeAsked:     {state: stateReady, serves: true},
		lifeKilled:    {state: stateDraining, stays: true},
		lifeMoving:    {state: stateDraining, gives: true},
		lifeHolding:   {state: stateDraining, gives: true, lingers: true},
		lifeLanded:    {state: stateDraining, gives: true, lingers: true, hasGiven: true},
		lifeEmptying:  {state: stateDraining, gives: true, lingers: true, hasGiven: true},
		lifeRecalled:  {state: stateDraining, lingers: true},
		lifeReturning: {state: stateDraining, lingers: true},
		lifeParked:    {state: stateDraining, lingers: true},
		lifeFinishing: {state: stateDraining, lingers: true, hasGiven: true},
		lifeCut:       {state: stateDraining},
		lifeRemoved:   {state: stateGone},
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
		for range rapid.IntRange(0, 30).Draw(t, "events") {
			l, _ = l.next(lifeEvent(rapid.IntRange(int(eventStarted), int(eventExited)).Draw(t, "event")))
		}
		for _, event := range []lifeEvent{eventEnd, eventExited} {
			l, _ = l.next(event)
		}
		if l != lifeRemoved {
			t.Fatalf("it ends %v", l)
		}
	})
}

// Whatever happens, in whatever order: connections are given to none but those that
// came up, whoever drains does not serve again, and only who moves says that it does.
func TestLifeOnlyGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, ready, opened, left := lifeGone, false, false, false
		for range rapid.IntRange(0, 40).Draw(t, "events") {
			event := lifeEvent(rapid.IntRange(int(eventStarted), int(eventExited)).Draw(t, "event"))
			next, ok := l.next(event)
			switch {
			case !ok && next != l:
				t.Fatalf("%v cannot happen in %v, and leads to %v", event, l, next)
			case ok && event == eventStarted:
				ready, opened = false, false
			case ok && event == eventReady:
				ready = true
			case ok && event == eventOpened:
				opened = true
			}
			left = left || next.state() == stateDraining && !next.stays()
			if next.serves() && !(ready && opened) || left && (next.serves() || next.stays()) || l == lifeRemoved && next != l {
				t.Fatalf("%v in %v leads to %v; ready %v, opened %v, left %v", event, l, next, ready, opened, left)
			}
			l = next
		}
	})
}
