package worker

import (
	"math"
	"math/bits"
	"time"
)

// wheel holds deadlines, any number of them, each with a value of type V. It is
// pure: the time comes from its user, and nothing happens but in a call.
//
//	level 0   256 slots of 1 ms     deadlines up to 0.25 s away
//	level 1   256 slots of 2 ms     … 0.5 s
//	   ⋮
//	level 15  256 slots of 32.8 s   … 2.3 h; what is farther is put in again then
//
// A deadline goes into the finest level whose slots reach it, and stays there:
// a slot is at most 1/127 of the way. It never fires early, and late by less
// than 1/127 of the way plus a tick of 1 ms: within 10 ms, or 1 %. So far
// deadlines cost few wake-ups, however many they are.
//
// Deadlines are named by an id. Arming and cancelling take constant time, and
// allocate nothing. Ids are made by the page.
type wheel[V any] struct {
	base     int64 // in ticks: every slot up to here has been emptied
	slots    [wheelSlots + 1]links
	occupied [wheelLevels][slotsPerLevel / 64]uint64
	levels   uint32 // a bit for each level with anything in it

	earliest     int64 // in ticks: the first slot with anything in it, or noTick
	earliestSlot uint32
	stale        bool // earliest is to be found again

	pages []*[pageNodes]node[V]
	free  uint32 // the first unused id; the others by their links
	made  uint32 // ids, 0 included, which is none
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
	wheelTick     = time.Millisecond
	wheelLevels   = 16
	slotsPerLevel = 256
	wheelSlots    = wheelLevels * slotsPerLevel
	// dueSlot is one more: of what has come due and was not yet taken.
	dueSlot  = wheelSlots
	slotMark = 1 << 31
	// horizonTicks is as far as the last level reaches, whatever the base.
	horizonTicks = (slotsPerLevel - 2) << (wheelLevels - 1)
	pageNodes    = 256
	noTick       = math.MaxInt64
)

func newWheel[V any]() *wheel[V] {
	w := &wheel[V]{earliest: noTick, earliestSlot: dueSlot, made: 1}
	for slot := range w.slots {
		w.slots[slot] = links{slotMark | uint32(slot), slotMark | uint32(slot)}
	}
	return w
}

// add returns a new id, which is never 0, with a zero value and not armed.
func (w *wheel[V]) add() (id uint32) {
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

// remove cancels id and takes it back.
func (w *wheel[V]) remove(id uint32) {
	w.cancel(id)
	w.node(id).prev = w.free
	w.free = id
}

// value returns id's value, for good.
func (w *wheel[V]) value(id uint32) *V { return &w.node(id).value }

// due returns when id is due, if it is armed.
func (w *wheel[V]) due(id uint32) (deadline time.Duration, armed bool) {
	n := w.node(id)
	return n.due, n.next != 0
}

// arm sets id's deadline, in place of the one it had. now is the time of the
// call. What is due by now already is so from the next tick on: a loop that
// takes what is due comes to an end.
func (w *wheel[V]) arm(id uint32, now, deadline time.Duration) {
	w.advance(now)
	w.cancel(id)
	n := w.node(id)
	n.due = deadline
	w.insert(id, n)
}

// cancel takes id's deadline away, if it has one.
func (w *wheel[V]) cancel(id uint32) {
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

// advance moves the time on to now: what has come due is for take to return.
func (w *wheel[V]) advance(now time.Duration) {
	tick := int64(now / wheelTick)
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

// take returns one that has come due, in the order of the slots, and is armed no
// longer; 0 when there is none.
func (w *wheel[V]) take() (id uint32) {
	for {
		id := w.slots[dueSlot].next
		if id == slotMark|dueSlot {
			return 0
		}
		w.cancel(id)
		n := w.node(id)
		if ticks(n.due) <= w.base {
			return id
		}
		w.insert(id, n) // it was beyond the horizon
	}
}

// next returns when take will have something, after advance; false when nothing
// is armed.
func (w *wheel[V]) next() (deadline time.Duration, ok bool) {
	if w.slots[dueSlot].next != slotMark|dueSlot {
		return time.Duration(w.base) * wheelTick, true
	}
	tick := w.find()
	return time.Duration(tick) * wheelTick, tick != noTick
}

func (w *wheel[V]) node(id uint32) *node[V] { return &w.pages[id/pageNodes][id%pageNodes] }

func (w *wheel[V]) links(i uint32) *links {
	if i&slotMark != 0 {
		return &w.slots[i&^slotMark]
	}
	return &w.node(i).links
}

// ticks rounds up.
func ticks(deadline time.Duration) int64 {
	whole := int64(deadline / wheelTick)
	if deadline%wheelTick > 0 {
		whole++
	}
	return whole
}

// insert puts a node that is in no slot into that of its deadline.
func (w *wheel[V]) insert(id uint32, n *node[V]) {
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
func (w *wheel[V]) vacate(slot uint32) {
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
func (w *wheel[V]) find() int64 {
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

// ahead returns how far the first occupied slot of a level is from one of them,
// in turn. There is one.
func (w *wheel[V]) ahead(level, from int) int {
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
