package master

import (
	"os"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/listen"
)

// Status is the answer of GET /v1/status. Its JSON fields are stable; more may
// be added.
type Status struct {
	PID        int              `json:"pid"`
	Version    string           `json:"version"`
	Generation int              `json:"generation"`
	Listeners  []ListenerStatus `json:"listeners"`
	Workers    []WorkerStatus   `json:"workers"`
	// Certificates are those of TLS, the default first.
	Certificates []CertificateStatus `json:"certificates,omitempty"`
	Connections  Counts              `json:"connections"`
	// Wanted is how many workers there are to be in the generation that serves; while a
	// reload starts the next one, in that.
	Wanted int `json:"wanted"`
	// Reload is the last reload that is over; nil: there was none.
	Reload *ReloadStatus `json:"reload,omitempty"`
	// Counters are what else the workers have counted, by the names of PROTOCOL.md: the
	// totals of all since the start, those that are gone included.
	Counters map[string]uint64 `json:"counters,omitempty"`
}

// Counts are all connections since the start:
// Accepted = Queued + Active + Closed + Refused + Lost.
type Counts struct {
	Accepted uint64 `json:"accepted"`
	Active   uint64 `json:"active"`
	Queued   uint64 `json:"queued"`
	Closed   uint64 `json:"closed"`
	Refused  uint64 `json:"refused"`
	Moved    uint64 `json:"moved"`
	Lost     uint64 `json:"lost"`
	Cut      uint64 `json:"cut"` // of those closed: by the deadline of a drain, while their clients had more to say
}

// ListenerStatus is one listener. Its fields:
//
//	Name    string   // of NAME=ADDRESS, or as systemd says; may be empty
//	Address string   // with the real port
//	TLS     bool     // its connections are encrypted
//	Cert    string   // a name of its default certificate; empty: the first
//	Proxy   bool     // a PROXY header comes first
//	Trust   string   // the networks whose PROXY headers are believed, by comma
//
// URL is the address, for people: one of TCP with TLS begins with tls://.
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
	// Counters are what else the worker counts, by the names of PROTOCOL.md, each bounded
	// by what can be; of one that keeps no scoreboard there are none.
	Counters map[string]uint64 `json:"counters,omitempty"`
}

// listed returns the counters that status lists, by name: all, or those that are kept
// when a worker dies.
func listed(reading *ipc.Reading, keptOnly bool) map[string]uint64 {
	values := make(map[string]uint64)
	for row, value := range reading.All() {
		if row.Listed && (row.Kept() || !keptOnly) {
			values[row.Name] = value
		}
	}
	return values
}

// status reports on everything. On the supervisor's goroutine.
func (s *supervisor) status() Status {
	totals, workers := s.dispatch.Snapshot()
	status := Status{
		PID: os.Getpid(), Version: s.config.Version, Generation: s.generation,
		Listeners: listen.Describe(s.listeners), Workers: []WorkerStatus{}, Connections: Counts(totals.Conns),
		Wanted: s.target, Reload: s.lastReload,
		Certificates: s.config.tls.certificates(), Counters: listed(&totals.Said, true),
	}
	for slot := range s.slots.all() {
		c := workers[slot.number]
		staying := c.Active
		if slot.ready.Moves {
			staying = min(staying, int(c.Said.Staying))
		}
		var own map[string]uint64
		if c.Said.Sequence != 0 {
			own = listed(&c.Said, false)
		}
		status.Workers = append(status.Workers, WorkerStatus{
			Slot: slot.number, PID: slot.pid(), Generation: slot.generation, State: slot.life.state().String(),
			Connections: c.Active, Movable: c.Active - staying, Staying: staying, Queued: c.Queued, Received: c.Received, MovedIn: c.MovedIn, MovedOut: c.GaveBack, Restarts: slot.restarts,
			Counters: own,
		})
	}
	return status
}
