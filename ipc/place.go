package ipc

import (
	"fmt"
	"unsafe"

	"github.com/usher-go/usher/fdpass"
)

// Place is where in a scoreboard's memory the worker's further counters are. Its zero value
// is nowhere: the master has made no room for them, as one of an older version.
type Place struct {
	Offset int64 `json:"offset"` // in bytes
	Length int64 `json:"length"` // likewise
}

// NewScoreboardFor is NewScoreboard for one worker, with room for its further counters behind
// the entries.
func NewScoreboardFor(entries int) (*Scoreboard, Place, error) {
	place := Place{Offset: int64(entries * EntrySize), Length: FurtherSize}
	if entries < 1 {
		return nil, Place{}, errNoEntry
	}
	fd, err := fdpass.Share("usher-scoreboard", place.Offset+place.Length)
	if err != nil {
		return nil, Place{}, fmt.Errorf("ipc: scoreboard: %w", err)
	}
	s, err := OpenScoreboard(fd)
	return s, place, err
}

// Further returns the further counters at a place, which are valid until Close; nil if
// there is not room enough for all that this version counts. An error says that the place
// is not in this memory.
func (s *Scoreboard) Further(p Place) (*FurtherCounters, error) {
	switch {
	case p == Place{}:
		return nil, nil
	case p.Offset < 0 || p.Length < 0 || p.Offset%8 != 0 || p.Offset > int64(len(s.memory)) || p.Length > int64(len(s.memory))-p.Offset:
		return nil, fmt.Errorf("ipc: scoreboard: further counters at %d, %d bytes, in memory of %d", p.Offset, p.Length, len(s.memory))
	case p.Length < int64(unsafe.Sizeof(FurtherCounters{})):
		return nil, nil
	}
	return (*FurtherCounters)(unsafe.Pointer(&s.memory[p.Offset])), nil
}
