package master

import (
	"encoding/json"

	"github.com/usher-go/usher/master/internal/dispatch"
)

// upgradeState1 is what an estate was in format 1, where it differs: one scoreboard was
// everybody's, and a slot had flags beside its state. It is read for as long as
// there are servers to be upgraded that write it.
type upgradeState1 struct {
	upgradeState
	Board int
	Slots []slotEstate1
}

type slotEstate1 struct {
	slotEstate
	State    State
	Leaving  bool
	Recycled string
	Moving   bool // had not said yet that it gave all back
	Held     bool // was told to move, and waited for word that nothing comes back
	Kept     bool // kept what it had, without a deadline
	Ending   bool // was told to exit
}

func parseUpgradeState1(text []byte) (*upgradeState, error) {
	var old upgradeState1
	if err := json.Unmarshal(text, &old); err != nil {
		return nil, err
	}
	e := old.upgradeState
	e.Format = estateFormat
	for _, slot := range old.Slots {
		s := slot.slotEstate
		s.Life, s.Board = slot.life(), -1
		if s.Process != nil {
			s.Board = old.Board
		}
		if !s.Life.stays() {
			s.Why = slot.Recycled
			if s.Why == "" {
				s.Why = "it left before the upgrade"
			}
		}
		if s.Alarm == alarmDrained {
			s.HasUntil, s.UntilIn = true, s.AlarmIn
		}
		e.Slots = append(e.Slots, s)
	}
	for i := range e.Accept.Queues {
		seat := &e.Accept.Queues[i]
		for _, s := range e.Slots {
			if s.Number == seat.Slot && s.Incarnation == seat.Worker && s.Process != nil {
				seat.PID = s.Process.PID
				if s.Life == lifeKilled && seat.Phase == dispatch.QueueOpen {
					seat.Phase = dispatch.QueueClosed // others get what it was to have
				}
				seat.Landing = s.Life == lifeHolding || s.Life == lifeReturning
			}
		}
	}
	return &e, nil
}

// life makes one of the flags.
func (s *slotEstate1) life() life {
	switch s.State {
	case StateStarting:
		if s.Killed != "" {
			return lifeKilled
		}
		return lifeStarting
	case StateReady:
		switch {
		case s.Killed != "" && s.Recycled != "":
			return lifeCut
		case s.Killed != "":
			return lifeKilled
		case s.Recycled != "":
			return lifeAsked
		case !s.Seated:
			return lifeWaiting
		}
		return lifeServing
	case StateDraining:
		switch {
		case s.Killed != "" || s.Ending:
			return lifeCut
		case s.Kept && s.Moving:
			return lifeRecalled
		case s.Kept && s.Held:
			return lifeReturning
		case s.Kept || !s.Ready.Moves:
			return lifeFinishing
		case s.Moving:
			return lifeMoving
		case s.Held:
			return lifeHolding
		}
		return lifeEmptying // or it finishes, which is no different to it
	}
	return lifeGone
}
