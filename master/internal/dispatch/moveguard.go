package dispatch

// moveGuard watches how the connections fare that a reload moves to the new generation,
// which may be unable to read the state that the old one wrote. So that few are lost
// before that is known, few are on their way at first, and more with each that arrives
// well. When too many have failed, it trips, and no more are moved there.
//
// It is pure, and belongs to the accept goroutine. The zero value guards nothing.
type moveGuard struct {
	generation int     // the new one; 0: nothing is guarded
	limit      float64 // of those tried, how many may fail: a share from 0 to 1
	tripped    bool    // more have: no more are moved to that generation

	// By workers that are gone:
	tried, failed uint64
}

// guardTally is what the workers of the guarded generation have tried, all together, at
// one moment.
type guardTally struct {
	tried, failed uint64 // as the workers count them
	outstanding   int    // sent to them, and not tried yet
	unbooked      int    // lost, or perhaps, and not in the totals as that yet
}

// The numbers from which on the limit is in force: a single failure says nothing
// of the rest, three of the first ones do.
const (
	guardTried  = 100
	guardFailed = 3
)

// tooMany reports whether too many have failed.
func (g *moveGuard) tooMany(n guardTally) bool {
	return (n.tried >= guardTried || n.failed >= guardFailed) && float64(n.failed) > g.limit*float64(n.tried)
}

// window returns how many may be on their way: as many as have arrived, and one
// at least. Once some have failed, no more than make three of them, until the
// share is known to be small.
func (g *moveGuard) window(n guardTally) int {
	arrived := int(n.tried - n.failed)
	if n.failed > 0 && n.tried < guardTried {
		return max(1, min(arrived, guardFailed-int(n.failed)))
	}
	return max(1, arrived)
}

// room returns how many more may be sent.
func (g *moveGuard) room(n guardTally) int {
	if g.tripped {
		return 0
	}
	return max(0, g.window(n)-n.outstanding)
}
