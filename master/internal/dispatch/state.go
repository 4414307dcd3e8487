package dispatch

import (
	"fmt"
	"maps"
	"net/netip"
	"time"

	"github.com/usher-go/usher/ipc"
)

// State is all that an accept goroutine hands over to that of the program that takes its
// place in the same process. It is written as JSON, whose names other programs read: they
// stay, whatever the fields are called here.
type State struct {
	LastID, Serial uint64
	Turn           int
	Totals         TotalsState
	Queues         []QueueState      `json:"Seats"`     // closed ones, and then open ones in the order of candidates
	PerIP          []byte            `json:"-"`         // records of who counts for the limit of each address: see perip_state.go
	PerIPMemory    int               `json:"Census"`    // descriptor: of the memfd with PerIP, for whoever writes the state; 0: PerIP is empty
	PerIPEntries   []PerIPState      `json:"Residents"` // the same, as format 1 has it
	Pending        []PendingState    `json:"Lobby"`
	Listeners      []ListenerCount   // an older program writes neither of these two
	AcceptErrors   map[string]uint64 // by errno
	Bucket         *BucketState      // nil: accepting had no rate, or an older program wrote this
}

// TotalsState are the connections of workers that are gone, and of none: by name what
// every program knows, and then each counter of those workers, which an earlier one
// does not write.
type TotalsState struct {
	Accepted, Closed, Refused, Moved, Lost, Cut uint64
	Counters                                    ipc.Reading
	Further                                     ipc.FurtherReading
	RefusedBy                                   map[string]uint64
}

func (t *totals) state() TotalsState {
	sum := Totals{Conns: Conns{Lost: t.lost}}
	sum.addSaid(&t.said)
	return TotalsState{t.accepted, sum.Closed, t.refused, t.moved, sum.Lost, sum.Cut, t.said, t.further, maps.Clone(t.refusedBy)}
}

func (s *TotalsState) totals() totals {
	said := s.Counters
	said.Closed, said.Cut = s.Closed+said.Lost, s.Cut
	return totals{accepted: s.Accepted, refused: s.Refused, moved: s.Moved, lost: s.Lost - said.Lost, said: said, further: s.Further, refusedBy: s.RefusedBy}
}

// BucketState is how many connections the accept rate grants at once.
type BucketState struct {
	Rate   int
	Tokens float64
	Age    time.Duration // since they were so many
}

// PendingState is a connection that is accepted and not yet counted.
type PendingState struct {
	FD            int
	Local, Remote netip.AddrPort
	Listener      string
	Transport     uint8         // the number; 0: none, or an older program wrote this
	Accepted      time.Duration // on CLOCK_MONOTONIC
}

// QueueState is the queue of a worker, and what became of what was sent there.
type QueueState struct {
	Slot       int
	Generation int
	Worker     int // its incarnation in the slot
	PID        int
	Queue      int // descriptor: the master's end
	WorkerEnd  int // descriptor
	Capacity   int
	Closes     bool
	Moves      bool

	Phase    Phase
	Serial   uint64
	Sent     uint64
	Drained  uint64
	Back     uint64
	Reported uint64
	MovedIn  uint64
	Returned uint64 `json:"Home"`
	Landing  bool
	Broken   bool
	Stuck    bool
	Said     ipc.Reading // what was counted of the worker's word so far
	Final    TallyState  // of a reaped worker
	Further  ipc.FurtherReading
}

// TallyState is what the ledger of a reaped worker came to: as in TotalsState.
type TallyState struct {
	Sent, Drained, Back, Received, Closed, Lost, MovedIn, Cut uint64
	Counters                                                  ipc.Reading
}

// said is what the worker had counted.
func (s *TallyState) said() ipc.Reading {
	said := s.Counters
	said.Closed, said.Lost, said.Cut = s.Closed, s.Lost, s.Cut
	return said
}

// PerIPState is a connection that counts for the limit of its address, as format 1
// has it.
type PerIPState struct {
	ID     uint64
	Prefix netip.Prefix `json:"Origin"`
	Queue  uint64       `json:"Seat"` // its serial
}

// Check refuses what cannot be. slots are those that have a worker.
func (s *State) Check(slots map[int]bool) error {
	for _, q := range s.Queues {
		if q.Phase < QueueOpen || q.Phase > QueueReaped || q.Phase != QueueReaped && !slots[q.Slot] {
			return fmt.Errorf("a queue of slot %d in phase %d", q.Slot, q.Phase)
		}
	}
	return nil
}

// Descriptors returns all that the next program is to have, which are no others'.
func (s *State) Descriptors() (fds []int) {
	for _, q := range s.Queues {
		fds = append(fds, q.Queue, q.WorkerEnd)
	}
	if s.PerIPMemory > 0 {
		fds = append(fds, s.PerIPMemory)
	}
	for _, p := range s.Pending {
		fds = append(fds, p.FD)
	}
	return fds
}
