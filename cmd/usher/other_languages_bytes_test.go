package main

import (
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// A worker in another language counts what it likes of what is for people, and no more is
// shown of it.
func TestOtherLanguagesCountBytes(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "2", "--", findPython(t), "-B", workerSource("lines.py"))
	for range 4 {
		if err := shortVisit(s.address); err != nil {
			t.Error(err)
		}
	}
	received := 4 * uint64(len("hello\nagain\n"))
	status := s.until("all are counted", func(status master.Status) bool {
		return status.Counters["bytes_received"] == received && status.Counters["bytes_sent"] > received
	})
	for _, worker := range status.Workers {
		if len(worker.Counters) != 2 || worker.BytesIn == nil || worker.BytesOut == nil {
			t.Errorf("%+v", worker)
		}
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}
