package child

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// tailLines are the lines that a report of a worker's death has: the last ones, and
// the first of the burst that they belong to, since a runtime prints the cause of a
// crash before the stack.
type tailLines struct {
	first []string  // the first of the burst, at most keptFirst
	count int       // all lines of the burst
	last  []string  // the last ones of all, at most keptLast
	at    time.Time // when the last one came
}

const (
	keptFirst = 10
	keptLast  = 20
	// burstGap is how long nothing is said before another burst.
	burstGap = time.Second
)

func (k *tailLines) add(line string, now time.Time) {
	if !k.at.IsZero() && now.Sub(k.at) >= burstGap {
		k.first, k.count = nil, 0
	}
	k.at = now
	k.count++
	if k.count <= keptFirst {
		k.first = append(k.first, line)
	}
	if len(k.last) == keptLast {
		k.last = append(k.last[:0], k.last[1:]...)
	}
	k.last = append(k.last, line)
}

// String returns the lines, and says where and how many are missing.
func (k *tailLines) String() string {
	before := max(0, k.count-len(k.last)) // lines of the burst that are not among the last
	lines := slices.Clone(k.first[:min(before, len(k.first))])
	if missing := before - len(lines); missing > 0 {
		lines = append(lines, fmt.Sprintf("(lines left out here: %d)", missing))
	}
	return strings.Join(append(lines, k.last...), "\n")
}
