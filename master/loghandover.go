package master

import (
	"os"
	"strconv"
	"time"
)

// This file is what becomes of the log in an upgrade in place: what is queued is written
// within handOverLimit, and the next program says how many lines are missing.

// handOverLimit is how long the exec may wait for the log, while clients wait in the
// backlog.
const handOverLimit = 100 * time.Millisecond

// upgradeLogVariable in the environment of a program that takes over is how many
// lines of the log are missing.
const upgradeLogVariable = "USHER_UPGRADE_LOG"

// handOver writes what is queued, for at most handOverLimit, and not at all where
// the output has stood still for so long already. It returns how many lines are
// missing then.
func (l *LogWriter) handOver() (missing int) {
	l.mu.Lock()
	stuck := l.stuckFor(handOverLimit)
	l.mu.Unlock()
	if !stuck {
		l.Flush(handOverLimit)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting + l.missing
}

// restore takes over how many lines are missing: before the next one it says so.
func (l *LogWriter) restore(missing int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped += missing
	l.missing += missing
}

// missingBefore is what the program before said of its log.
func missingBefore() int {
	missing, err := strconv.Atoi(os.Getenv(upgradeLogVariable))
	if err != nil {
		return 0 // it said nothing
	}
	return max(0, missing)
}

func missingVariable(missing int) string {
	return upgradeLogVariable + "=" + strconv.Itoa(missing)
}
