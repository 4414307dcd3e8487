package master

import (
	"math"
	"os"
	"time"
	"unsafe"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/dispatch"
	"github.com/usher-go/usher/master/internal/listen"
)

// Status is the answer of GET /v1/status. Its JSON fields are stable; more may
// be added.
type Status struct {
	PID        int              `json:"pid"`        // the master's
	Version    string           `json:"version"`    // Config.Version
	Generation int              `json:"generation"` // that serves, from 1: each reload begins one
	Listeners  []ListenerStatus `json:"listeners"`
	Workers    []WorkerStatus   `json:"workers"` // by their slots; those that are gone for good are not there
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
	// What the master's own process has used; absent where /proc does not say. CPUSeconds is
	// the time that processors have worked for it.
	Started       time.Time `json:"started"` // an upgrade leaves it
	UptimeSeconds *float64  `json:"uptime_s,omitempty"`
	CPUSeconds    *float64  `json:"cpu_s,omitempty"`
	RSSBytes      *int64    `json:"rss_bytes,omitempty"`
	// RestartsBy are the restarts of all workers, by reason: exit, signal, hang, killed or
	// start.
	RestartsBy map[string]uint64 `json:"restarts_by,omitempty"`
	// AcceptedBy are the connections accepted at each address, RefusedBy those refused by each
	// limit, and AcceptErrors the errors of accept4(2), by errno: since the start, or since an
	// upgrade from a program that did not count them.
	AcceptedBy   []AcceptedStatus  `json:"accepted_by,omitempty"`
	RefusedBy    map[string]uint64 `json:"refused_by,omitempty"`
	AcceptErrors map[string]uint64 `json:"accept_errors,omitempty"`
	// Own is what the workers' programs measure of their own, by name and labels.
	Own []OwnMetric `json:"own,omitempty"`
}

// AcceptedStatus is how many connections were accepted at one address, now or before; those
// that were refused included.
type AcceptedStatus struct {
	Name     string `json:"name"`    // of the listener; may be empty
	Address  string `json:"address"` // as ListenerStatus has it
	Accepted uint64 `json:"accepted"`
}

// Counts are all connections since the start:
// Accepted = Queued + Active + Closed + Refused + Lost.
type Counts struct {
	Accepted uint64 `json:"accepted"` // since the start, those that were refused included
	Active   uint64 `json:"active"`   // now at workers, which have received them
	Queued   uint64 `json:"queued"`   // now on their way to one
	Closed   uint64 `json:"closed"`   // by a worker or its client, in order or for a logged reason
	Refused  uint64 `json:"refused"`  // by a limit, before a worker had them
	Moved    uint64 `json:"moved"`    // how often one went on in another worker
	Lost     uint64 `json:"lost"`     // that died with a worker, or could not be restored in another
	Cut      uint64 `json:"cut"`      // of those closed: by the deadline of a drain, while their clients had more to say
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
	PID         int    `json:"pid"`         // 0 while the slot waits for a new worker
	Generation  int    `json:"generation"`  // that it was started in
	State       string `json:"state"`       // starting, ready, draining or gone
	Connections int    `json:"connections"` // received and open
	Movable     int    `json:"movable"`     // of those: as many can move to another worker
	Staying     int    `json:"staying"`     // and as many cannot
	Queued      int    `json:"queued"`      // sent and not yet received
	Received    uint64 `json:"received"`    // connections, those that moved here included
	MovedIn     uint64 `json:"moved_in"`    // connections that came from another worker
	MovedOut    uint64 `json:"moved_out"`   // connections that it gave back, to go to another
	Restarts    int    `json:"restarts"`    // of the slot
	// Counters are what else the worker counts, by the names of PROTOCOL.md, each bounded
	// by what can be; those that it does not keep are absent.
	Counters map[string]uint64 `json:"counters,omitempty"`
	// What its process has used; absent where /proc does not say.
	UptimeSeconds *float64 `json:"uptime_s,omitempty"`
	CPUSeconds    *float64 `json:"cpu_s,omitempty"`
	RSSBytes      *int64   `json:"rss_bytes,omitempty"`
	// What the worker counts; absent of one that does not. AcceptsPerSecond is how many
	// connections it receives, over about the last second.
	BytesIn          *uint64  `json:"bytes_in,omitempty"`
	BytesOut         *uint64  `json:"bytes_out,omitempty"`
	AcceptsPerSecond *float64 `json:"accepts_per_s,omitempty"`
	LastExit         string   `json:"last_exit,omitempty"` // how the worker before it in the slot ended, and why
}

// listed returns the counters that status lists, by name: all that the worker keeps, or of
// those the ones that are kept when it dies. Either may be nil: it keeps none of them.
func listed(reading *ipc.Reading, further *ipc.FurtherReading, keptOnly bool) map[string]uint64 {
	values := make(map[string]uint64)
	if reading != nil {
		for row, value := range reading.All() {
			if row.Listed && (row.Kept() || !keptOnly) {
				values[row.Name] = value
			}
		}
	}
	if further != nil {
		for row, value := range further.All() {
			if row.Listed && (row.Kept() || !keptOnly) {
				values[row.Name] = value
			}
		}
	}
	return values
}

// bytesOf returns the bytes that a worker counts; nil if it does not.
func bytesOf(further *ipc.FurtherReading) (in, out *uint64) {
	if further == nil || further.Kept < uint64(unsafe.Offsetof(further.Reads)) {
		return nil, nil
	}
	return &further.BytesReceived, &further.BytesSent
}

// statusOf reports on everything but what processes use: see readProcesses. On the
// supervisor's goroutine.
func (s *supervisor) statusOf(m *dispatch.Meters) Status {
	totals, now := &m.Totals, time.Now()
	status := Status{
		PID: os.Getpid(), Version: s.config.Version, Generation: s.generation,
		Listeners: listen.Describe(s.listeners), Workers: []WorkerStatus{}, Connections: Counts(totals.Conns),
		Wanted: s.target, Reload: s.lastReload,
		Certificates: s.config.tls.certificates(), Counters: listed(&totals.Said, &m.Further, true),
		Started: s.started, RestartsBy: s.restartsBy.clone(restartReasons...), RefusedBy: m.RefusedBy, AcceptErrors: m.Failed,
	}
	for _, l := range m.Listeners {
		status.AcceptedBy = append(status.AcceptedBy, AcceptedStatus(l))
	}
	for slot := range s.slots.all() {
		c := m.Workers[slot.number]
		staying := c.Active
		if slot.ready.Moves {
			staying = min(staying, int(c.Said.Staying))
		}
		own := listed(nil, m.FurtherOf[slot.number], false)
		var accepts *float64
		if c.Said.Sequence != 0 {
			own = listed(&c.Said, m.FurtherOf[slot.number], false)
			rate := math.Round(slot.rate.now(now, c.Received)*10) / 10
			accepts = &rate
		}
		in, out := bytesOf(m.FurtherOf[slot.number])
		status.Workers = append(status.Workers, WorkerStatus{
			Slot: slot.number, PID: slot.pid(), Generation: slot.generation, State: slot.life.state().String(),
			Connections: c.Active, Movable: c.Active - staying, Staying: staying, Queued: c.Queued, Received: c.Received, MovedIn: c.MovedIn, MovedOut: c.GaveBack, Restarts: slot.restarts,
			Counters: own, BytesIn: in, BytesOut: out, AcceptsPerSecond: accepts, LastExit: slot.lastExit,
		})
	}
	return status
}
