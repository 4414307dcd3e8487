package dispatch

import (
	"testing"

	"pgregory.net/rapid"
)

func TestMoveGuard(t *testing.T) {
	for _, test := range []struct {
		name  string
		tally guardTally
		bad   bool
		room  int
	}{
		{"at first", guardTally{}, false, 1},
		{"the first on its way", guardTally{outstanding: 1}, false, 0},
		{"one arrived", guardTally{tried: 1}, false, 1},
		{"many arrived", guardTally{tried: 500}, false, 500},
		{"many on their way", guardTally{tried: 500, outstanding: 450}, false, 50},
		{"the first failed", guardTally{tried: 1, failed: 1}, false, 1},
		{"two failed", guardTally{tried: 2, failed: 2}, false, 1},
		{"three failed", guardTally{tried: 3, failed: 3}, true, 1},
		{"two of the first hundred", guardTally{tried: 100, failed: 2}, true, 98},
		{"one of the first hundred", guardTally{tried: 100, failed: 1}, false, 99},
		{"one in a hundred", guardTally{tried: 1000, failed: 10}, false, 990},
		{"more than one in a hundred", guardTally{tried: 1000, failed: 11}, true, 989},
		{"caution after a failure", guardTally{tried: 50, failed: 1}, false, 2},
	} {
		guard := moveGuard{generation: 2, limit: 0.01}
		if bad := guard.tooMany(test.tally); bad != test.bad {
			t.Errorf("%s: judged %t, want %t", test.name, bad, test.bad)
		}
		if room := guard.room(test.tally); room != test.room {
			t.Errorf("%s: room for %d, want %d", test.name, room, test.room)
		}
		guard.tripped = true
		if room := guard.room(test.tally); room != 0 {
			t.Errorf("%s, spoiled: room for %d", test.name, room)
		}
	}
}

// Whoever fails, and in whatever order they are tried, few are lost before it is
// noticed: three, if all fail.
func TestMoveGuardLosesFew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		guard := moveGuard{generation: 2, limit: 0.01}
		share := rapid.SampledFrom([]int{100, 50, 10, 2, 1, 0}).Draw(t, "share that fails, in percent")
		var n guardTally
		for range 30 {
			if guard.tooMany(n) {
				break
			}
			n.outstanding += rapid.IntRange(0, min(20, guard.room(n))).Draw(t, "sent")
			for range rapid.IntRange(0, min(20, n.outstanding)).Draw(t, "tried") {
				n.outstanding--
				n.tried++
				if rapid.IntRange(0, 99).Draw(t, "fate") < share {
					n.failed++
				}
			}
		}
		n.tried += uint64(n.outstanding) // the worst case
		n.failed += uint64(n.outstanding)
		if share == 100 && n.failed > guardFailed {
			t.Fatalf("all fail: %d lost, %d tried", n.failed, n.tried)
		}
	})
}
