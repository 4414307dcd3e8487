package master

import (
	"encoding/json"

	"github.com/usher-go/usher/master/internal/dispatch"
)

// upgradeState1 is what an upgradeState was in format 1, where it differs: one scoreboard was
// everybody's, and a slot had flags beside its state. It is read for as long as
// there are servers to be upgraded that write it.
type upgradeState1 struct {
	upgradeState
	Board int
	Slots []slotState1
}

type slotState1 struct {
	slotState
	State    shownState
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
	u := old.upgradeState
	u.Format = upgradeFormat
	for _, slot := range old.Slots {
		s := slot.slotState
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
		u.Slots = append(u.Slots, s)
	}
	for i := range u.Accept.Queues {
		queue := &u.Accept.Queues[i]
		for _, s := range u.Slots {
			if s.Number == queue.Slot && s.Incarnation == queue.Worker && s.Process != nil {
				queue.PID = s.Process.PID
				if s.Life == lifeKilled && queue.Phase == dispatch.QueueOpen {
					queue.Phase = dispatch.QueueClosed // others get what it was to have
				}
				queue.Landing = s.Life == lifeHolding || s.Life == lifeReturning
			}
		}
	}
	return &u, nil
}

// life returns the life that the flags stood for.
func (s *slotState1) life() life {
	switch s.State {
	case stateStarting:
		if s.Killed != "" {
			return lifeKilled
		}
		return lifeStarting
	case stateReady:
		switch {
		case s.Killed != "" && s.Recycled != "":
			return lifeCut
		case s.Killed != "":
			return lifeKilled
		case s.Recycled != "":
			return lifeAsked
		case !s.QueueOpen:
			return lifeWaiting
		}
		return lifeServing
	case stateDraining:
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
