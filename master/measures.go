package master

import (
	"math"
	"os"
	"time"

	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// measures are all that is measured of the server, at one moment: what status tells, and the
// rest of what /metrics and the commands are made of. No total in it goes down, whatever
// becomes of a worker or of the master's program.
type measures struct {
	Status   Status
	Meters   dispatch.Meters // by slot, and the totals
	Restarts tallies         // of workers, by restartReasons
	Reloads  reloadCounts    // by what came of them
	// WorkersCPU is the processor time of workers that are gone; see api.measureAll.
	WorkersCPU time.Duration
	Unready    string // why no new connection can be served; empty: they are
}

// measure measures all but what is to be read of processes: see readProcesses. On the
// supervisor's goroutine.
func (s *supervisor) measure() measures {
	m := measures{Meters: s.dispatch.Meters(), Restarts: s.restartsBy.clone(), Reloads: s.reloads, WorkersCPU: s.workersCPU, Unready: s.unready()}
	m.Status = s.statusOf(&m.Meters)
	m.Status.Own = s.own.measure(&s.slots)
	return m
}

// unready says why no new connection can be served, or nothing.
func (s *supervisor) unready() string {
	switch {
	case s.stopping != stopNot:
		return "stopping"
	case !s.booted:
		return "starting"
	}
	for slot := range s.slots.all() {
		if slot.life.state() == stateReady {
			return ""
		}
	}
	return "no worker is ready"
}

// readProcesses reads what the processes have used, from /proc: on the goroutine that asked,
// since it takes some ten microseconds for each. Of one that is gone it is absent.
func (s *Status) readProcesses() {
	if usage, err := child.UsageOf(os.Getpid()); err == nil {
		s.UptimeSeconds = seconds(usage.Age)
		s.CPUSeconds, s.RSSBytes = seconds(usage.CPU), &usage.RSS
	}
	for i := range s.Workers {
		w := &s.Workers[i]
		if w.PID == 0 {
			continue
		}
		if usage, err := child.UsageOf(w.PID); err == nil {
			w.UptimeSeconds, w.CPUSeconds, w.RSSBytes = seconds(usage.Age), seconds(usage.CPU), &usage.RSS
		}
	}
}

// seconds returns a duration as JSON has it, to the hundredth.
func seconds(d time.Duration) *float64 {
	s := math.Round(d.Seconds()*100) / 100
	return &s
}
