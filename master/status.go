package master

import (
	"os"

	"github.com/usher-go/usher/master/internal/listen"
)

// Status is the answer of GET /v1/status. Its JSON fields are stable; more may
// be added.
type Status struct {
	PID         int              `json:"pid"`
	Version     string           `json:"version"`
	Generation  int              `json:"generation"`
	Listeners   []ListenerStatus `json:"listeners"`
	Workers     []WorkerStatus   `json:"workers"`
	Connections Counts           `json:"connections"`
}

// ListenerStatus is one listener: Address has the real port.
type ListenerStatus = listen.Status

// WorkerStatus is one slot. Its counts are of the present incarnation.
type WorkerStatus struct {
	Slot        int    `json:"slot"`
	PID         int    `json:"pid"` // 0 while the slot waits for a new worker
	Generation  int    `json:"generation"`
	State       string `json:"state"`       // starting, ready, draining or gone
	Connections int    `json:"connections"` // received and open
	Movable     int    `json:"movable"`     // of those: as many can move to another worker
	Staying     int    `json:"staying"`     // and as many cannot
	Queued      int    `json:"queued"`      // sent and not yet received
	Received    uint64 `json:"received"`
	MovedIn     uint64 `json:"moved_in"`
	MovedOut    uint64 `json:"moved_out"`
	Restarts    int    `json:"restarts"` // of the slot
}

// status reports on everything. On the supervisor's goroutine.
func (s *supervisor) status() Status {
	counts, tallies := s.dispatch.Snapshot()
	status := Status{
		PID: os.Getpid(), Version: s.config.Version, Generation: s.generation,
		Listeners: listen.Describe(s.listeners), Workers: []WorkerStatus{}, Connections: counts,
	}
	for slot := range s.slots.all() {
		t := tallies[slot.number]
		staying := t.active()
		if slot.ready.Moves {
			staying = min(staying, int(t.staying))
		}
		status.Workers = append(status.Workers, WorkerStatus{
			Slot: slot.number, PID: slot.pid(), Generation: slot.generation, State: slot.life.state().String(),
			Connections: t.active(), Movable: t.active() - staying, Staying: staying, Queued: t.queued(), Received: t.received, MovedIn: t.movedIn, MovedOut: t.back, Restarts: slot.restarts,
		})
	}
	return status
}
