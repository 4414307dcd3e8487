// Package timerwheel holds deadlines for an event loop: any number of them, each
// with a value. It is pure: the time comes from its user, nothing happens but in a
// call, and nothing here is for more than one goroutine.
package timerwheel

import (
	"math"
	"math/bits"
	"time"
)

// Wheel holds deadlines, each with a value of type V. Times are durations since
// some beginning that its user chose, not below zero. New makes one.
//
//	level 0   256 slots of 1 ms     deadlines up to 0.25 s away
//	level 1   256 slots of 2 ms     … 0.5 s
//	   ⋮
//	level 15  256 slots of 32.8 s   … 2.3 h; what is farther away is put in again then
//
// A deadline goes into the finest level whose slots reach it, and stays there:
// a slot is at most 1/127 of the time until then. It never fires early, and late by less
// than 1/127 of that time plus a tick of 1 ms: within 10 ms, or 1 %. So deadlines that
// are far away cost few wake-ups, however many they are.
//
// Deadlines are named by an id. Arming and cancelling take constant time, and
// allocate nothing. Ids are made by the page.
type Wheel[V any] struct {
	base     int64 // in ticks: every slot up to here has been emptied
	slots    [wheelSlots + 1]links
	occupied [wheelLevels][slotsPerLevel / 64]uint64 // a bit for each slot with anything in it
	levels   uint32                                  // a bit for each level with anything in it

	earliest     int64 // in ticks: the first slot with anything in it, or noTick
	earliestSlot uint32
	stale        bool // earliest is to be found again

	pages []*[pageNodes]node[V]
	free  uint32 // the first unused id, or 0; its prev is the next one
	made  uint32 // how many ids were made, with 0, which is none
}

// links joins a node, or a slot, into a ring: the slot's own links are of the
// first and the last node in it. They are of 4 bytes each: an id, or slotMark
// and the number of a slot.
type links struct{ next, prev uint32 }

// node is 16 bytes and a value. While next is 0 it is not armed.
type node[V any] struct {
	links
	due   time.Duration
	value V
}

const (
	tickTime      = time.Millisecond
	wheelLevels   = 16
	slotsPerLevel = 256
	wheelSlots    = wheelLevels * slotsPerLevel
	// dueSlot is one more slot, for what has come due and was not yet taken.
	dueSlot  = wheelSlots
	slotMark = 1 << 31
	// horizonTicks is how far the last level reaches, whatever the base.
	horizonTicks = (slotsPerLevel - 2) << (wheelLevels - 1)
	pageNodes    = 256
	noTick       = math.MaxInt64
)

// New returns a wheel without ids, at the beginning of time.
func New[V any]() *Wheel[V] {
	w := &Wheel[V]{earliest: noTick, earliestSlot: dueSlot, made: 1}
	for slot := range w.slots {
		w.slots[slot] = links{slotMark | uint32(slot), slotMark | uint32(slot)}
	}
	return w
}

// Late returns how long after its deadline, at most, Take has an id whose deadline was
// that far away when it was armed, provided that its user advances the wheel at each Next.
func Late(away time.Duration) time.Duration {
	return tickTime + min(max(away, 0), horizonTicks*tickTime)/127
}

// Add returns a new id, which is never 0, with a zero value and not armed.
func (w *Wheel[V]) Add() (id uint32) {
	if w.free != 0 {
		id = w.free
		w.free = w.node(id).prev
	} else {
		id = w.made
		w.made++
		if int(id/pageNodes) == len(w.pages) {
			w.pages = append(w.pages, new([pageNodes]node[V]))
		}
	}
	*w.node(id) = node[V]{}
	return id
}

// Remove cancels id and takes it back.
func (w *Wheel[V]) Remove(id uint32) {
	w.Cancel(id)
	w.node(id).prev = w.free
	w.free = id
}

// Value returns where id's value is. It stays there until Remove.
func (w *Wheel[V]) Value(id uint32) *V { return &w.node(id).value }

// Due returns when id is due, if it is armed.
func (w *Wheel[V]) Due(id uint32) (deadline time.Duration, armed bool) {
	n := w.node(id)
	return n.due, n.next != 0
}

// Arm sets id's deadline, in place of the one it had. now is the time of the
// call. A deadline that has passed by now comes due at the next tick, so that a loop
// which takes what is due comes to an end.
func (w *Wheel[V]) Arm(id uint32, now, deadline time.Duration) {
	w.Advance(now)
	w.Cancel(id)
	n := w.node(id)
	n.due = deadline
	w.insert(id, n)
}

// Cancel takes id's deadline away, if it has one.
func (w *Wheel[V]) Cancel(id uint32) {
	n := w.node(id)
	if n.next == 0 {
		return
	}
	next, prev := n.next, n.prev
	n.links = links{}
	w.links(next).prev = prev
	w.links(prev).next = next
	if next == prev && next != slotMark|dueSlot { // it was alone in its slot
		w.vacate(next &^ slotMark)
	}
}

// Advance moves the time on to now: Take then returns what has come due.
func (w *Wheel[V]) Advance(now time.Duration) {
	tick := int64(now / tickTime)
	if tick <= w.base {
		return
	}
	for w.find() <= tick {
		slot := w.earliestSlot
		from, to := &w.slots[slot], &w.slots[dueSlot]
		w.links(from.next).prev = to.prev
		w.links(to.prev).next = from.next
		w.links(from.prev).next = slotMark | dueSlot
		to.prev = from.prev
		*from = links{slotMark | slot, slotMark | slot}
		w.vacate(slot)
	}
	w.base = tick
}

// Take returns an id that has come due, which is then not armed any more, or 0 when there
// is none. Ids come in the order of their slots.
func (w *Wheel[V]) Take() (id uint32) {
	for {
		id := w.slots[dueSlot].next
		if id == slotMark|dueSlot {
			return 0
		}
		w.Cancel(id)
		n := w.node(id)
		if ticks(n.due) <= w.base {
			return id
		}
		w.insert(id, n) // it was beyond the horizon
	}
}

// Next returns a time from which on, after Advance, Take may have something; false when
// nothing is armed.
func (w *Wheel[V]) Next() (deadline time.Duration, ok bool) {
	if w.slots[dueSlot].next != slotMark|dueSlot {
		return time.Duration(w.base) * tickTime, true
	}
	tick := w.find()
	return time.Duration(tick) * tickTime, tick != noTick
}

// InUse returns how many ids were added and not removed. It goes through the removed
// ones: it is for tests.
func (w *Wheel[V]) InUse() int {
	n := int(w.made) - 1
	for id := w.free; id != 0; id = w.node(id).prev {
		n--
	}
	return n
}

func (w *Wheel[V]) node(id uint32) *node[V] { return &w.pages[id/pageNodes][id%pageNodes] }

func (w *Wheel[V]) links(i uint32) *links {
	if i&slotMark != 0 {
		return &w.slots[i&^slotMark]
	}
	return &w.node(i).links
}

// ticks returns a deadline in ticks, rounded up.
func ticks(deadline time.Duration) int64 {
	whole := int64(deadline / tickTime)
	if deadline%tickTime > 0 {
		whole++
	}
	return whole
}

// insert puts a node that is in no slot into that of its deadline.
func (w *Wheel[V]) insert(id uint32, n *node[V]) {
	tick := min(max(ticks(n.due), w.base+1), w.base+horizonTicks)
	// Slots of a level are counted from the beginning of time, and those ahead
	// are fewer than it has places for. Rounding up can cost one level more.
	level := max(0, bits.Len64(uint64(tick-w.base))-bits.Len(slotsPerLevel-1))
	for (tick-1)>>level+1-w.base>>level >= slotsPerLevel {
		level++
	}
	count := (tick-1)>>level + 1
	slot := uint32(level*slotsPerLevel) + uint32(count%slotsPerLevel)

	head := &w.slots[slot]
	last := head.prev
	n.links = links{slotMark | slot, last}
	w.links(last).next = id
	head.prev = id
	w.occupied[level][slot%slotsPerLevel/64] |= 1 << (slot % 64)
	w.levels |= 1 << level
	if at := count << level; at < w.earliest {
		w.earliest, w.earliestSlot = at, slot
	}
}

// vacate books that a slot has become empty.
func (w *Wheel[V]) vacate(slot uint32) {
	level := slot / slotsPerLevel
	w.occupied[level][slot%slotsPerLevel/64] &^= 1 << (slot % 64)
	if w.occupied[level] == [slotsPerLevel / 64]uint64{} {
		w.levels &^= 1 << level
	}
	if slot == w.earliestSlot {
		w.stale = true
	}
}

// find returns the tick of the earliest slot with anything in it, or noTick.
func (w *Wheel[V]) find() int64 {
	if !w.stale {
		return w.earliest
	}
	w.stale = false
	w.earliest, w.earliestSlot = noTick, dueSlot
	for levels := w.levels; levels != 0; levels &= levels - 1 {
		level := bits.TrailingZeros32(levels)
		count := w.base>>level + 1
		count += int64(w.ahead(level, int(count%slotsPerLevel)))
		if at := count << level; at < w.earliest {
			w.earliest = at
			w.earliestSlot = uint32(level*slotsPerLevel) + uint32(count%slotsPerLevel)
		}
	}
	return w.earliest
}

// ahead returns how many slots after from the first occupied slot of a level comes, in
// their circle. There is one.
func (w *Wheel[V]) ahead(level, from int) int {
	words := &w.occupied[level]
	word := words[from/64] >> (from % 64)
	for distance := 0; ; {
		if word != 0 {
			return distance + bits.TrailingZeros64(word)
		}
		distance += 64 - (from+distance)%64
		word = words[(from+distance)%slotsPerLevel/64]
	}
}
