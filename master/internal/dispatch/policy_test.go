package dispatch

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func TestPolicies(t *testing.T) {
	tests := map[string]struct {
		policy     string
		candidates []candidate // slot, load, room
		turn       int
		want       int
	}{
		"least: smallest":               {"least", []candidate{{slot: 0, load: 2, room: 9}, {slot: 1, load: 1, room: 9}, {slot: 2, load: 3, room: 9}}, 0, 1},
		"least: smallest is full":       {"least", []candidate{{slot: 0, load: 2, room: 9}, {slot: 1, load: 1, room: 0}, {slot: 2, load: 3, room: 9}}, 0, 0},
		"least: tie at the turn":        {"least", []candidate{{slot: 0, load: 1, room: 9}, {slot: 1, load: 1, room: 9}, {slot: 2, load: 1, room: 9}}, 2, 2},
		"least: tie after the turn":     {"least", []candidate{{slot: 0, load: 1, room: 9}, {slot: 1, load: 1, room: 9}, {slot: 2, load: 2, room: 9}}, 2, 0},
		"least: turn beyond the last":   {"least", []candidate{{slot: 0, load: 1, room: 9}, {slot: 1, load: 1, room: 9}}, 2, 0},
		"round-robin: at the turn":      {"round-robin", []candidate{{slot: 0, load: 0, room: 9}, {slot: 1, load: 7, room: 9}}, 1, 1},
		"round-robin: beyond the last":  {"round-robin", []candidate{{slot: 0, load: 7, room: 9}, {slot: 1, load: 0, room: 9}}, 2, 0},
		"round-robin: passes the full":  {"round-robin", []candidate{{slot: 0, load: 0, room: 1}, {slot: 1, load: 0, room: 0}, {slot: 2, load: 0, room: 0}}, 1, 0},
		"queue: to whoever is free":     {"queue", []candidate{{slot: 0, load: 1, room: 0}, {slot: 1, load: 1, room: 0}, {slot: 2, load: 0, room: 1}}, 0, 2},
		"hash: the same, and not turns": {"hash", []candidate{{slot: 7, load: 0, room: 9}}, 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			policy, ok := LookupPolicy(test.policy)
			if !ok {
				t.Fatal("there is no such policy")
			}
			got := policy.choose(test.candidates, netip.MustParseAddr("192.0.2.1"), test.turn)
			if got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// drawCandidates returns workers in distinct slots.
func drawCandidates(t *rapid.T) []candidate {
	slots := rapid.SliceOfNDistinct(rapid.IntRange(0, 511), 0, 20, rapid.ID).Draw(t, "slots")
	candidates := make([]candidate, len(slots))
	for i, slot := range slots {
		candidates[i] = candidate{
			slot: slot,
			load: rapid.IntRange(0, 5).Draw(t, "load"),
			room: rapid.IntRange(0, 2).Draw(t, "room"),
		}
	}
	return candidates
}

func drawPeer(t *rapid.T) netip.Addr {
	return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "peer"))).Unmap()
}

// Whatever the policy: the choice has room, and there is one if anybody has.
func TestPoliciesChooseSomebodyWithRoom(t *testing.T) {
	for _, policy := range policies {
		t.Run(policy.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				candidates := drawCandidates(t)
				peer := drawPeer(t)
				if rapid.Bool().Draw(t, "unix") {
					peer = netip.Addr{}
				}
				room := false
				for _, c := range candidates {
					room = room || c.room > 0
				}
				i := policy.choose(candidates, peer, rapid.IntRange(0, 20).Draw(t, "turn"))
				if room != (i >= 0) || i >= 0 && candidates[i].room == 0 {
					t.Errorf("chose %d of %+v", i, candidates)
				}
			})
		})
	}
}

// Loads that start even stay even within one, whatever the order of ties.
func TestLeastAndRoundRobinKeepEven(t *testing.T) {
	for _, name := range []string{"least", "round-robin"} {
		policy, _ := LookupPolicy(name)
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				candidates := make([]candidate, rapid.IntRange(1, 20).Draw(t, "workers"))
				for i := range candidates {
					candidates[i].room = 1000
				}
				turn := 0
				for range rapid.IntRange(0, 200).Draw(t, "connections") {
					i := policy.choose(candidates, netip.Addr{}, turn)
					candidates[i].load++
					turn = i + 1
				}
				lowest, highest := candidates[0].load, candidates[0].load
				for _, c := range candidates {
					lowest, highest = min(lowest, c.load), max(highest, c.load)
				}
				if highest-lowest > 1 {
					t.Errorf("loads from %d to %d", lowest, highest)
				}
			})
		})
	}
}

// When a worker leaves, only its clients change their worker; so when it comes
// back, only those do.
func TestHashMovesOnlyWhatMustMove(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		candidates := drawCandidates(t)
		for i := range candidates {
			candidates[i].room = 1
		}
		if len(candidates) < 2 {
			return
		}
		peer := drawPeer(t)
		before := candidates[rendezvous(candidates, peer, 0)].slot
		gone := rapid.IntRange(0, len(candidates)-1).Draw(t, "gone")
		fewer := append(append([]candidate{}, candidates[:gone]...), candidates[gone+1:]...)
		after := fewer[rendezvous(fewer, peer, rapid.IntRange(0, 9).Draw(t, "turn"))].slot
		if before != candidates[gone].slot && after != before {
			t.Errorf("client of %d goes to %d when %d leaves", before, after, candidates[gone].slot)
		}
	})
}

func TestHashSpreadsClients(t *testing.T) {
	candidates := make([]candidate, 4)
	for i := range candidates {
		candidates[i] = candidate{slot: i, room: 1}
	}
	const clients = 4000
	addr := netip.MustParseAddr("10.0.0.0")
	for range clients {
		candidates[rendezvous(candidates, addr, 0)].load++
		addr = addr.Next()
	}
	for _, c := range candidates {
		if c.load < clients/4*9/10 || c.load > clients/4*11/10 {
			t.Errorf("slot %d has %d of %d clients", c.slot, c.load, clients)
		}
	}
}

// A row says all that is particular to a policy, and says it truly.
func TestPolicyRows(t *testing.T) {
	want := map[string]struct {
		byAddress, needsCloses bool
		perWorker              int
	}{
		"least":       {},
		"round-robin": {},
		"hash":        {byAddress: true},
		"queue":       {needsCloses: true, perWorker: 1},
	}
	if len(policies) != len(want) {
		t.Errorf("%d rows, want %d: say here what is particular to a new one", len(policies), len(want))
	}
	candidates := make([]candidate, 20)
	for i := range candidates {
		candidates[i] = candidate{slot: i, room: 1}
	}
	for _, p := range policies {
		if w, ok := want[p.Name]; !ok || p.ByAddress != w.byAddress || p.NeedsCloses != w.needsCloses || p.PerWorker != w.perWorker {
			t.Errorf("%s: %+v, want %+v", p.Name, p, w)
		}
		if found, ok := LookupPolicy(p.Name); !ok || found.Name != p.Name || p.Help == "" {
			t.Errorf("%q: looked up, it is %q; its help is %q", p.Name, found.Name, p.Help)
		}
		chosen := make(map[int]bool)
		for i := range byte(100) {
			chosen[p.choose(candidates, netip.AddrFrom4([4]byte{192, 0, 2, i}), 0)] = true
		}
		if (len(chosen) > 1) != p.ByAddress {
			t.Errorf("%s: a hundred addresses get %d workers, by address: %t", p.Name, len(chosen), p.ByAddress)
		}
	}
	if p, ok := LookupPolicy(""); !ok || p.Name != DefaultPolicy {
		t.Errorf("the one that nobody names is %q, want %q", p.Name, DefaultPolicy)
	}
	if p, ok := LookupPolicy("random"); ok || p.choose != nil {
		t.Errorf("there is %+v", p)
	}
}
