package dispatch

import (
	"encoding/binary"
	"net/netip"
)

// This file is the choices that policies make, and that of a worker for a connection
// that moves. They are pure.

// least chooses the smallest load. Ties go in turn.
func least(candidates []candidate, _ netip.Addr, turn int) int {
	best := -1
	for k := range candidates {
		i := (turn + k) % len(candidates)
		if candidates[i].room > 0 && (best < 0 || candidates[i].load < candidates[best].load) {
			best = i
		}
	}
	return best
}

// chooseForMoved chooses who gets a moved connection: of those that can thaw it, slot to
// if that has room, else the least loaded; and the one that it comes from, slot
// from, only if there is no other.
func chooseForMoved(candidates []candidate, turn, from, to int) int {
	best := -1
	for k := range candidates {
		i := (turn + k) % len(candidates)
		c := candidates[i]
		switch {
		case !c.moves || c.room <= 0:
		case c.slot == to:
			return i
		case best < 0, candidates[best].slot == from, c.slot != from && c.load < candidates[best].load:
			best = i
		}
	}
	return best
}

// roundRobin chooses the next in turn.
func roundRobin(candidates []candidate, _ netip.Addr, turn int) int {
	for k := range candidates {
		i := (turn + k) % len(candidates)
		if candidates[i].room > 0 {
			return i
		}
	}
	return -1
}

// rendezvous chooses by the client's address: the slot that weighs most for
// it (rendezvous hashing), so that when a slot comes or goes only the clients
// that it wins or loses change theirs. A full slot's clients go to the one
// that weighs next. Clients without an address, of a Unix socket, go to the
// least loaded.
func rendezvous(candidates []candidate, peer netip.Addr, turn int) int {
	if !peer.IsValid() {
		return least(candidates, peer, turn)
	}
	address := peer.As16()
	high, low := binary.BigEndian.Uint64(address[:8]), binary.BigEndian.Uint64(address[8:])
	client := mix(mix(high) ^ low)
	best, most := -1, uint64(0)
	for i, c := range candidates {
		weight := mix(client ^ uint64(c.slot))
		if c.room > 0 && (best < 0 || weight > most) {
			best, most = i, weight
		}
	}
	return best
}

// mix is the finalizer of SplitMix64: a bijection whose output bits all depend
// on all input bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
