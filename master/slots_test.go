package master

import (
	"slices"
	"testing"
)

// Slots keep their numbers; a free one is the next to be used.
func TestSlots(t *testing.T) {
	var s slots
	if !s.none() || s.free() != 0 || s.at(0) != nil || s.at(-1) != nil {
		t.Errorf("empty: %v", s)
	}
	for range 3 {
		s.put(&slot{number: s.free()})
	}
	s.put(&slot{number: 5}) // as an upgrade hands it over
	numbers := func() (n []int) {
		for slot := range s.all() {
			n = append(n, slot.number)
		}
		return n
	}
	if got := numbers(); !slices.Equal(got, []int{0, 1, 2, 5}) || s.free() != 3 {
		t.Errorf("%v, the next would be %d", got, s.free())
	}
	for slot := range s.all() { // as one that ends each of them
		if s.remove(slot); slot.number == 1 {
			break
		}
	}
	if got := numbers(); !slices.Equal(got, []int{2, 5}) || s.free() != 0 || s.at(1) != nil || s.at(2) == nil || s.at(6) != nil {
		t.Errorf("%v, the next would be %d", got, s.free())
	}
	if s.none() || !s.some(func(slot *slot) bool { return slot.number == 5 }) || s.some(func(slot *slot) bool { return slot.number == 0 }) {
		t.Error("some and none say otherwise")
	}
}
