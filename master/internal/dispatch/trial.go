package dispatch

// trial is how the connections fare that a reload moves to the new generation:
// it may be unable to read the state that the old one wrote. So that few are
// lost before that is known, few are on their way at first, and more with each
// that arrives well.
//
// It is pure, and belongs to the accept goroutine. The zero value is no trial.
type trial struct {
	generation int     // the new one; 0: no trial
	limit      float64 // of those tried, how many may fail: a share from 0 to 1
	spoiled    bool    // more did: no more is moved to that generation

	// Of workers that are gone:
	tried, failed uint64
}

// tally of a trial at one moment, all its workers together.
type trialTally struct {
	tried, failed uint64 // as the workers count them
	outstanding   int    // sent to them, and not tried yet
}

// The numbers from which on the limit is in force: a single failure says nothing
// of the rest, three of the first ones do.
const (
	trialTried  = 100
	trialFailed = 3
)

// judge reports whether too many have failed.
func (t *trial) judge(n trialTally) bool {
	return (n.tried >= trialTried || n.failed >= trialFailed) && float64(n.failed) > t.limit*float64(n.tried)
}

// window returns how many may be on their way: as many as have arrived, and one
// at least. Once some have failed, no more than make three of them, until the
// share is known to be small.
func (t *trial) window(n trialTally) int {
	arrived := int(n.tried - n.failed)
	if n.failed > 0 && n.tried < trialTried {
		return max(1, min(arrived, trialFailed-int(n.failed)))
	}
	return max(1, arrived)
}

// room returns how many more may be sent.
func (t *trial) room(n trialTally) int {
	if t.spoiled {
		return 0
	}
	return max(0, t.window(n)-n.outstanding)
}
