package master

import (
	"testing"

	"pgregory.net/rapid"
)

func TestLeast(t *testing.T) {
	tests := map[string]struct {
		candidates []candidate
		turn       int
		want       int
	}{
		"nobody":               {nil, 0, -1},
		"nobody has room":      {[]candidate{{1, 0}, {0, 0}}, 0, -1},
		"smallest":             {[]candidate{{2, 9}, {1, 9}, {3, 9}}, 0, 1},
		"smallest is full":     {[]candidate{{2, 9}, {1, 0}, {3, 9}}, 0, 0},
		"tie at the turn":      {[]candidate{{1, 9}, {1, 9}, {1, 9}}, 2, 2},
		"tie after the turn":   {[]candidate{{1, 9}, {1, 9}, {2, 9}}, 2, 0},
		"turn beyond the last": {[]candidate{{1, 9}, {1, 9}}, 2, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := least(test.candidates, test.turn); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// Loads that start even stay even within one, whatever the order of ties.
func TestLeastKeepsEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		candidates := make([]candidate, rapid.IntRange(1, 20).Draw(t, "workers"))
		for i := range candidates {
			candidates[i].room = 1000
		}
		turn := 0
		for range rapid.IntRange(0, 200).Draw(t, "connections") {
			i := least(candidates, turn)
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
}
