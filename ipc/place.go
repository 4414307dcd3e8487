package ipc

import (
	"fmt"
	"unsafe"

	"github.com/usher-go/usher/fdpass"
)

// Place is where in a scoreboard's memory the worker's further counters are, or the numbers of
// its Series. Its zero value is nowhere: the master has made no room for them, as one of an
// older version.
type Place struct {
	Offset int64 `json:"offset"` // in bytes
	Length int64 `json:"length"` // likewise
}

// Places are where a worker's parts of a scoreboard's memory are that lie behind the entries.
type Places struct {
	Further Place // its further counters
	Metrics Place // the numbers of its Series
}

// NewScoreboardFor is NewScoreboard for one worker, with room behind the entries for all that
// is counted there.
func NewScoreboardFor(entries int) (*Scoreboard, Places, error) {
	if entries < 1 {
		return nil, Places{}, errNoEntry
	}
	further := Place{Offset: int64(entries * EntrySize), Length: FurtherSize}
	metrics := Place{Offset: further.Offset + further.Length, Length: MetricsSize}
	fd, err := fdpass.Share("usher-scoreboard", metrics.Offset+metrics.Length)
	if err != nil {
		return nil, Places{}, fmt.Errorf("ipc: scoreboard: %w", err)
	}
	s, err := OpenScoreboard(fd)
	return s, Places{further, metrics}, err
}

// has reports whether the place is in the memory, and its numbers are aligned.
func (s *Scoreboard) has(p Place) bool {
	size := int64(len(s.memory))
	return p.Offset >= 0 && p.Length >= 0 && p.Offset%8 == 0 && p.Offset <= size && p.Length <= size-p.Offset
}

// Further returns the further counters at a place, which are valid until Close; nil if
// there is not room enough for all that this version counts. An error says that the place
// is not in this memory.
func (s *Scoreboard) Further(p Place) (*FurtherCounters, error) {
	switch {
	case p == Place{}:
		return nil, nil
	case !s.has(p):
		return nil, fmt.Errorf("ipc: scoreboard: further counters at %d, %d bytes, in memory of %d", p.Offset, p.Length, len(s.memory))
	case p.Length < int64(unsafe.Sizeof(FurtherCounters{})):
		return nil, nil
	}
	return (*FurtherCounters)(unsafe.Pointer(&s.memory[p.Offset])), nil
}
