package main

import (
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func init() {
	helpers["worker-slow-to-start"] = func() {
		<-time.After(200 * time.Millisecond)
		worker.Main(lines{})
	}
}

// Signals to reload and to scale come as fast as a process can send them: they
// end in some number of workers within the bounds, all of one generation and
// ready, and nobody's connection has been harmed.
//
// The workers are slow to start, so that signals find a reload under way; which
// also keeps more generations from lingering than may.
func TestSignalStorm(t *testing.T) {
	const most = 32 // workers: the balance of both ways to scale stays far below
	signals := sized(100, 1000)
	s := serve(t, "--workers", "2", "--max-workers", "32", "--", self(), "worker-slow-to-start")
	l := startLoad(s.address, 5*time.Millisecond)
	t.Cleanup(func() { l.stop() }) // if the story did not

	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	kinds := []unix.Signal{unix.SIGHUP, unix.SIGUSR1, unix.SIGTTOU}
	start := time.Now()
	for n := range signals {
		s.signal(kinds[n%len(kinds)])
		<-pace.C
	}
	elapsed := time.Since(start)
	generation := s.settle()
	status := s.until("one generation, all ready", func(status master.Status) bool {
		return allReady(status) && lingering(status) == 0
	})
	left := len(status.Workers)
	if left < 1 || left > most || status.Generation != generation {
		t.Errorf("%d workers of generation %d, want 1 to %d of generation %d", left, status.Generation, most, generation)
	}
	failures := l.stop()
	for _, failure := range failures {
		t.Error(failure)
	}

	// As at the start, for the checks.
	if err := post(s.control, "/v1/scale", map[string]int{"to": s.workers}, &struct{}{}); err != nil {
		t.Fatal(err)
	}
	counts := s.until("two workers", ready(s.workers)).Connections
	t.Logf("%d signals in %v: %d reloads, %d workers at the end; %d clients, %d failed; %+v",
		signals, elapsed.Round(time.Millisecond), generation-1, left, l.arrived.Load(), len(failures), counts)
	if counts.Lost+counts.Refused != 0 || counts.Accepted != l.arrived.Load() {
		t.Errorf("%+v; want %d accepted, none lost or refused", counts, l.arrived.Load())
	}
	for _, line := range s.log.with("worker died") {
		t.Errorf("in the log: %s", line)
	}
	s.stop()
}
