package master

import "iter"

// slots are the supervisor's slots by number. A slot keeps its number until it is removed;
// then another one may have it. The zero value is empty.
type slots []*slot // nil where there is none

// all returns the slots in the order of their numbers. The loop may remove slots and put
// some: those put beyond the last number are not seen.
func (s slots) all() iter.Seq[*slot] {
	return func(yield func(*slot) bool) {
		for _, slot := range s {
			if slot != nil && !yield(slot) {
				return
			}
		}
	}
}

// some reports whether is holds for any slot.
func (s slots) some(is func(*slot) bool) bool {
	for slot := range s.all() {
		if is(slot) {
			return true
		}
	}
	return false
}

// none reports whether there is no slot at all.
func (s slots) none() bool { return !s.some(func(*slot) bool { return true }) }

// at returns the slot of a number, which may be any; nil: there is none.
func (s slots) at(number int) *slot {
	if number < 0 || number >= len(s) {
		return nil
	}
	return s[number]
}

// free returns the lowest number that no slot has.
func (s slots) free() int {
	for number, slot := range s {
		if slot == nil {
			return number
		}
	}
	return len(s)
}

// put adds a slot at its number, which is free.
func (s *slots) put(slot *slot) {
	for len(*s) <= slot.number {
		*s = append(*s, nil)
	}
	(*s)[slot.number] = slot
}

// remove frees the slot's number.
func (s slots) remove(slot *slot) { s[slot.number] = nil }
