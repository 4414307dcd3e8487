package master

import (
	"fmt"
	"maps"
	"slices"

	"github.com/usher-go/usher/ipc"
)

// ownTotalState is an ownTotal in an upgradeState, under the same rules.
type ownTotalState struct {
	Series  ipc.Series
	Numbers []uint64
}

// ownState is what a worker has told of its series, and what was read of their numbers, in a
// slotState, under the same rules.
type ownState struct {
	Place  ipc.Place
	Series []ipc.Series
	Read   []uint64
}

// state describes the totals. What was counted since the last reading is in the workers'
// numbers, for the next program to read. It is a copy, since the supervisor measures on while
// another goroutine has the program for an upgrade tested with it.
func (o *ownMetrics) state() (states []ownTotalState) {
	for _, key := range slices.Sorted(maps.Keys(o.totals)) {
		states = append(states, ownTotalState{o.totals[key].series, slices.Clone(o.totals[key].numbers)})
	}
	return states
}

// state describes what is known of the worker, likewise as a copy.
func (w *ownSeries) state() ownState {
	return ownState{w.place, slices.Clone(w.series), slices.Clone(w.read)}
}

// restore is the reverse of state.
func (o *ownMetrics) restore(states []ownTotalState) {
	o.totals = make(map[string]*ownTotal, len(states))
	for _, state := range states {
		o.totals[state.Series.Key()] = &ownTotal{series: state.Series, numbers: state.Numbers}
	}
}

// adopt gives a worker of the program before its parts in the totals, after restore.
func (o *ownMetrics) adopt(w *ownSeries, from *ownState) {
	w.place, w.read = from.Place, from.Read
	for _, series := range from.Series {
		_ = w.set.Add(series) // checkOwn has done so
		o.give(w, o.totals[series.Key()])
	}
}

// checkOwn refuses what cannot be of the worker programs' own measurements.
func (u *upgradeState) checkOwn() error {
	var known ipc.SeriesSet
	totals := make(map[string]bool)
	for _, total := range u.Own {
		if err := known.Add(total.Series); err != nil {
			return err
		}
		if len(total.Numbers) != total.Series.Numbers() {
			return fmt.Errorf("metric %q: a total of %d numbers", total.Series.Name, len(total.Numbers))
		}
		totals[total.Series.Key()] = true
	}
	for i := range u.Slots {
		if err := u.Slots[i].Own.check(&known, totals); err != nil {
			return fmt.Errorf("slot %d: %w", u.Slots[i].Number, err)
		}
	}
	return nil
}

// check wants the totals, whose keys are given, to have all of the worker's series.
func (w *ownState) check(known *ipc.SeriesSet, totals map[string]bool) error {
	var set ipc.SeriesSet
	count := 0
	for _, series := range w.Series {
		if err := set.Add(series); err != nil {
			return err
		}
		if err := known.Fits(&series); err != nil || !totals[series.Key()] {
			return fmt.Errorf("metric %q: it is not among the totals", series.Name)
		}
		count += series.Numbers()
	}
	if len(w.Read) != count {
		return fmt.Errorf("%d numbers were read of metrics that have %d", len(w.Read), count)
	}
	return nil
}
