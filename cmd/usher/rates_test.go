package main

import (
	"testing"
	"time"

	"github.com/usher-go/usher/master"
)

// Rates are differences; what cannot be known is said to be unknown, and none is negative.
func TestRates(t *testing.T) {
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC) // without a reading of the monotonic clock
	statusOf := func(pid int, accepted, received uint64) master.Status {
		cpu := float64(received) / 100
		return master.Status{
			Connections: master.Counts{Accepted: accepted},
			Counters:    map[string]uint64{"bytes_received": 1000 * accepted},
			Workers:     []master.WorkerStatus{{Slot: 3, PID: pid, Received: received, BytesIn: &received, CPUSeconds: &cpu}},
		}
	}
	before := sample{at, statusOf(7, 100, 50)}
	for _, test := range []struct {
		name   string
		before sample
		now    sample
		// accepts, bytes in and out; of the worker: received, bytes in, CPU
		want [6]string
	}{
		{"two seconds", before, sample{at.Add(2 * time.Second), statusOf(7, 105, 60)}, [6]string{"2.5", "2.441 KiB", "-", "5.0", "5 B", "5%"}},
		{"nothing happens", before, sample{at.Add(time.Second), statusOf(7, 100, 50)}, [6]string{"0.0", "0 B", "-", "0.0", "0 B", "0%"}},
		{"the first", sample{}, before, [6]string{"-", "-", "-", "-", "-", "-"}},
		{"another worker in the slot", before, sample{at.Add(time.Second), statusOf(8, 101, 60)}, [6]string{"1.0", "1000 B", "-", "-", "-", "-"}},
		{"no worker in the slot", sample{at, statusOf(0, 100, 50)}, sample{at.Add(time.Second), statusOf(0, 101, 60)}, [6]string{"1.0", "1000 B", "-", "-", "-", "-"}},
		{"counters begin anew", before, sample{at.Add(time.Second), statusOf(7, 5, 6)}, [6]string{"-", "-", "-", "-", "-", "-"}},
		{"a clock that jumps back", before, sample{at.Add(-time.Hour), statusOf(7, 105, 60)}, [6]string{"-", "-", "-", "-", "-", "-"}},
		{"at once", before, sample{at, statusOf(7, 105, 60)}, [6]string{"-", "-", "-", "-", "-", "-"}},
		{"no workers", before, sample{at.Add(time.Second), master.Status{Connections: master.Counts{Accepted: 101}}}, [6]string{"1.0", "-", "-", "-", "-", "-"}},
	} {
		r := ratesBetween(test.before, test.now)
		w := r.workers[3]
		got := [6]string{r.accepts.String(), r.bytesIn.bytes(), r.bytesOut.bytes(), w.received.String(), w.bytesIn.bytes(), w.cpu.percent()}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
