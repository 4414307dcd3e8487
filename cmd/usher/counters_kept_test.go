package main

import (
	"maps"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// What the workers have counted stays counted: through a worker's death, a reload, an
// upgrade in place, and slots that are closed and used again, no total goes down, and
// none of what clients have sent is missing. A killed worker may take with it what it
// counted in its last turn.
func TestCountersAreKept(t *testing.T) {
	t.Parallel()
	file := install(t)
	s := file.serve("--workers", "2", "--app", "lines")
	w := &watchedCounters{server: s}
	visit := func() {
		t.Helper()
		for range 10 {
			if err := shortVisit(s.address); err != nil {
				t.Error(err)
			}
		}
	}
	for _, step := range []struct {
		name string
		take func()
	}{
		{"at the start", func() {}},
		{"a killed worker", func() {
			pid := w.until("two", ready(2)).Workers[0].PID
			kill(t, pid, unix.SIGKILL)
			w.until("its successor", func(status master.Status) bool {
				return ready(2)(status) && status.Workers[0].PID != pid && status.RestartsBy["signal"] == 1
			})
		}},
		{"a reload", func() {
			s.signal(unix.SIGHUP)
			w.until("the next generation", func(status master.Status) bool { return status.Generation == 2 && ready(2)(status) })
		}},
		{"an upgrade", func() {
			started := w.until("ready", ready(2)).Started
			file.replace()
			s.signal(unix.SIGUSR2)
			s.log.await(t, 1, "upgraded:")
			if got := w.until("two", ready(2)); !got.Started.Equal(started) || got.RestartsBy["signal"] != 1 {
				t.Errorf("started %v, before %v; restarts %v", got.Started, started, got.RestartsBy)
			}
		}},
		{"fewer workers", func() {
			s.signal(unix.SIGTTOU)
			w.until("one", ready(1))
		}},
		{"a slot used again", func() {
			s.signal(unix.SIGTTIN)
			s.signal(unix.SIGUSR1)
			w.until("more", func(status master.Status) bool { return allReady(status) && len(status.Workers) >= 2 })
		}},
	} {
		before := w.until("at rest", func(status master.Status) bool { return status.Connections.Active+status.Connections.Queued == 0 })
		step.take()
		visit()
		w.until(step.name+": all is counted", func(status master.Status) bool {
			c, was := status.Counters, before.Counters
			const sent = 10 * uint64(len("hello\nagain\n"))
			return c["bytes_received"] >= was["bytes_received"]+sent && c["bytes_sent"] > was["bytes_sent"]+sent && c["reads"] >= was["reads"]+20 && c["turns"] > was["turns"]
		})
	}
	status := w.until("whole", allReady)
	for _, worker := range status.Workers {
		if worker.CPUSeconds == nil || worker.RSSBytes == nil || *worker.RSSBytes <= 0 || worker.UptimeSeconds == nil || worker.BytesIn == nil || worker.AcceptsPerSecond == nil {
			t.Errorf("%+v does not have all", worker)
		}
	}
	if status.CPUSeconds == nil || status.RSSBytes == nil || status.UptimeSeconds == nil {
		t.Errorf("the master's own: %+v", status)
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// watchedCounters looks at each status whether some total has gone down, or is gone.
type watchedCounters struct {
	*server
	last map[string]uint64
}

func (w *watchedCounters) until(what string, ok func(master.Status) bool) master.Status {
	w.t.Helper()
	return w.server.until(what, func(status master.Status) bool {
		totals := maps.Clone(status.Counters)
		for reason, n := range status.RestartsBy {
			totals["restarts "+reason] = n
		}
		for _, l := range status.AcceptedBy {
			totals["accepted at "+l.Address] = l.Accepted
		}
		for name, was := range w.last {
			if is, there := totals[name]; is < was || !there {
				w.t.Errorf("%s: %s is %d, was %d", what, name, is, was)
			}
		}
		w.last = totals
		return ok(status)
	})
}
