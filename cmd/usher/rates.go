package main

import (
	"fmt"
	"time"

	"github.com/usher-go/usher/master"
)

// sample is a status, and when it came.
type sample struct {
	at     time.Time
	status master.Status
}

// rate is how much of something there is in a second. The zero value: nobody knows.
type rate struct {
	perSecond float64
	known     bool
}

// String is the number alone.
func (r rate) String() string {
	if !r.known {
		return "-"
	}
	return fmt.Sprintf("%.1f", r.perSecond)
}

// bytes is String for bytes.
func (r rate) bytes() string {
	if !r.known {
		return "-"
	}
	return bytesText(int64(r.perSecond))
}

// percent is String for seconds of CPU time.
func (r rate) percent() string {
	if !r.known {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", 100*r.perSecond)
}

// rates are those of a server and of its workers, by slot.
type rates struct {
	accepts  rate
	bytesIn  rate
	bytesOut rate
	workers  map[int]workerRates
}

type workerRates struct {
	received rate
	bytesIn  rate
	bytesOut rate
	cpu      rate // seconds of CPU time
}

// ratesBetween returns the rates between two samples of one server. What only one of them
// has is not known, and neither is what goes down, as counters do that begin anew; nor is
// anything if the time between is not positive, as when a clock was set back, or if before is
// the zero value.
func ratesBetween(before, now sample) rates {
	if before.at.IsZero() {
		return rates{}
	}
	elapsed := now.at.Sub(before.at) // by the monotonic clock, which nobody sets, if both have its reading
	b, n := before.status, now.status
	r := rates{
		accepts:  between(&b.Connections.Accepted, &n.Connections.Accepted, elapsed),
		bytesIn:  between(counterOf(b, "bytes_received"), counterOf(n, "bytes_received"), elapsed),
		bytesOut: between(counterOf(b, "bytes_sent"), counterOf(n, "bytes_sent"), elapsed),
		workers:  make(map[int]workerRates),
	}
	earlier := make(map[int]master.WorkerStatus)
	for _, w := range b.Workers {
		earlier[w.Slot] = w
	}
	for _, w := range n.Workers {
		was, found := earlier[w.Slot]
		if !found || was.PID != w.PID || w.PID == 0 {
			continue // another process, which counts from 0
		}
		r.workers[w.Slot] = workerRates{
			received: between(&was.Received, &w.Received, elapsed),
			bytesIn:  between(was.BytesIn, w.BytesIn, elapsed),
			bytesOut: between(was.BytesOut, w.BytesOut, elapsed),
			cpu:      between(was.CPUSeconds, w.CPUSeconds, elapsed),
		}
	}
	return r
}

// between returns the rate of what counts up. nil: it is not counted.
func between[N uint64 | float64](before, now *N, elapsed time.Duration) rate {
	if before == nil || now == nil || *now < *before || elapsed <= 0 {
		return rate{}
	}
	return rate{float64(*now-*before) / elapsed.Seconds(), true}
}

// counterOf returns a total of all workers; nil: none counts it.
func counterOf(s master.Status, name string) *uint64 {
	n, found := s.Counters[name]
	if !found {
		return nil
	}
	return &n
}
