package main

import (
	"bytes"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func init() {
	// It answers as the app lines does, and counts that before.
	helpers["worker-own"] = func() {
		lines := worker.Counter("own_lines_total", "lines answered", "of", "two\nlines")
		size := worker.Histogram("own_line_bytes", "how long they are", []float64{4, 16})
		worker.Gauge("own_workers", "workers that live").Set(1)
		worker.Main(worker.DataFunc(func(c *worker.Conn, in []byte) (n int, err error) {
			for err == nil {
				end := bytes.IndexByte(in[n:], '\n') + 1
				if end == 0 {
					break
				}
				lines.Inc()
				size.Observe(float64(end))
				peer := net.TCPAddrFromAddrPort(c.RemoteAddr())
				_, err = fmt.Fprintf(c, "%d %v %d %s", os.Getpid(), peer.IP, peer.Port, in[n:n+end])
				n += end
			}
			return n, err
		}))
	}
	// Each has one metric that cannot stand beside those of worker-own.
	for name, metric := range map[string]func(){
		"kind":    func() { worker.Gauge("own_lines_total", "lines answered") },
		"help":    func() { worker.Counter("own_lines_total", "lines that were answered") },
		"buckets": func() { worker.Histogram("own_line_bytes", "how long they are", []float64{4, 17}) },
		"part":    func() { worker.Counter("own_line_bytes_sum", "how long they are") },
		"usher":   func() { worker.Gauge("usher_lines", "lines") },
	} {
		helpers["worker-own-"+name] = func() {
			defer func() {
				if why := recover(); why != nil { // a stack in the log would be a fault of another kind
					fmt.Fprintln(os.Stderr, why)
					os.Exit(1)
				}
			}()
			metric()
			worker.Main(worker.DataFunc(func(_ *worker.Conn, in []byte) (int, error) { return len(in), nil }))
		}
	}
	// It tells of metrics, writes one number into all of them, and serves nobody. The argument: a folder to be
	// made. Whoever makes it does that.
	helpers["worker-own-lying"] = func() {
		onlyOne(os.Args[2], helpers["worker-own"])
		numbers, err := ipc.MapNumbers(ipc.ScoreboardFD, ipc.MetricsPlace(os.Environ()))
		if err != nil {
			panic(err) // the story is wrong
		}
		ownEntry().Sequence.Store(2)
		sayOnControl(`{"type":"metrics","series":[{"name":"own_workers","kind":"gauge","help":"workers that live"},` +
			`{"name":"own_line_bytes","kind":"histogram","help":"how long they are","bounds":[4,16]}]}`)
		sayOnControl(`{"type":"ready","protocol":1,"closes":true}`)
		go func() {
			for n := uint64(0); ; n++ {
				for i := range numbers {
					numbers[i].Store([]uint64{math.Float64bits(math.NaN()), 0, math.Float64bits(math.Inf(1)), math.MaxUint64, n}[n%5])
				}
			}
		}()
		helpers["worker-mute"]()
	}
}

// ownWatch looks at each status whether a total of the program's own has gone down, or is gone.
type ownWatch struct {
	*server
	last map[string]float64
}

func (w *ownWatch) until(what string, ok func(master.Status) bool) master.Status {
	w.t.Helper()
	return w.server.until(what, func(status master.Status) bool {
		now := make(map[string]float64)
		for _, m := range status.Own {
			if m.Kind == "gauge" {
				continue
			}
			now[m.Name] = m.Value
			if m.Histogram != nil {
				now[m.Name+" sum"] = m.Histogram.Sum
			}
		}
		for name, was := range w.last {
			if is, there := now[name]; is < was || !there {
				w.t.Errorf("%s: %s is %v, was %v", what, name, is, was)
			}
		}
		w.last = now
		return ok(status)
	})
}

// What a program measures of its own is summed over all its workers, and exact: through kills,
// reloads, an upgrade, and slots that are closed and used again, while clients come and go.
func TestOwnMetrics(t *testing.T) {
	t.Parallel()
	file := install(t)
	s := file.serve("--workers", "2", "--", self(), "worker-own")
	w := &ownWatch{server: s}
	var visits atomic.Int64
	visit := func() bool {
		err := shortVisit(s.address)
		if err != nil {
			t.Errorf("visit: %v", err)
		}
		visits.Add(1)
		return err == nil
	}
	for _, step := range []struct {
		name string
		idle bool // no client is there meanwhile: it would be cut
		take func()
	}{
		{"a killed worker", true, func() {
			pid := w.until("two", ready(2)).Workers[0].PID
			kill(t, pid, unix.SIGKILL)
			w.until("its successor", func(status master.Status) bool { return ready(2)(status) && status.Workers[0].PID != pid })
		}},
		{"a reload", false, func() {
			s.signal(unix.SIGHUP)
			w.until("the next generation", func(status master.Status) bool { return status.Generation == 2 && ready(2)(status) })
		}},
		{"an upgrade", false, func() {
			file.replace()
			s.signal(unix.SIGUSR2)
			s.log.await(t, 1, "upgraded:")
		}},
		{"a reload after it", false, func() {
			s.signal(unix.SIGHUP)
			w.until("the next generation", func(status master.Status) bool { return status.Generation == 3 && ready(2)(status) })
		}},
		{"fewer workers", false, func() {
			s.signal(unix.SIGTTOU)
			w.until("one", ready(1))
		}},
		{"a slot used again", false, func() {
			s.signal(unix.SIGTTIN)
			w.until("two", ready(2))
		}},
	} {
		visit()
		stop := func() {}
		if !step.idle {
			stop = meanwhile(t, visit)
		}
		step.take()
		stop()
		visit()
		status := w.until(step.name+": at rest", func(status master.Status) bool {
			return allReady(status) && status.Connections.Active+status.Connections.Queued == 0
		})
		lines := float64(2 * visits.Load())
		own := status.Own
		if len(own) != 3 || own[0].Name != "own_line_bytes" || own[1].Name != "own_lines_total" || own[2].Name != "own_workers" {
			t.Fatalf("%s: %+v", step.name, own)
		}
		if h := own[0].Histogram; own[0].Value != lines || h.Sum != 6*lines || h.Buckets[1] != uint64(lines) || len(h.Buckets) != 3 {
			t.Errorf("%s: histogram %v, %+v, want %v", step.name, own[0].Value, h, lines)
		}
		if own[1].Value != lines || own[1].Labels["of"] != "two\nlines" || own[1].Kind != "counter" || own[1].Help != "lines answered" {
			t.Errorf("%s: counter %+v, want %v", step.name, own[1], lines)
		}
		if own[2].Value != float64(len(status.Workers)) {
			t.Errorf("%s: gauge %v, of %d workers", step.name, own[2].Value, len(status.Workers))
		}
	}
	t.Logf("%d visits", visits.Load())
	s.until("two", ready(2))
	s.stop()
}

// A program whose metric cannot be beside those of the workers that serve does not take their
// place, and the reload says which.
func TestOwnMetricsThatCollide(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "worker")
	deploy := func(helper string) { script(t, program, fmt.Sprintf("#!/bin/sh\nexec '%s' %s\n", self(), helper)) }
	deploy("worker-own")
	s := serve(t, "--workers", "1", "--", program)
	if err := shortVisit(s.address); err != nil {
		t.Error(err)
	}
	for helper, want := range map[string]string{
		"worker-own-kind":    `metric "own_lines_total": a gauge, and a counter before`,
		"worker-own-help":    `metric "own_lines_total": its help is "lines that were answered", and was "lines answered" before`,
		"worker-own-buckets": `metric "own_line_bytes": its buckets are [4 17], and were [4 16] before`,
		"worker-own-part":    `metric "own_line_bytes_sum": Prometheus could not tell it from "own_line_bytes", by the name own_line_bytes_sum`,
		"worker-own-usher":   `metric "usher_lines": names that begin with usher_ are taken`,
	} {
		deploy(helper)
		s.refusesReload(want)
	}
	deploy("worker-own")
	if got := s.ask("reload"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if status := s.until("one", ready(1)); len(status.Own) != 3 || status.Own[1].Value != 2 {
		t.Errorf("%+v", status.Own)
	}
	s.stop()
}

// A worker that writes anything into its metrics, all the time, spoils those alone: totals do
// not go down, and what is said is JSON.
func TestOwnMetricsOfALiar(t *testing.T) {
	t.Parallel()
	once := filepath.Join(t.TempDir(), "done")
	if err := os.Mkdir(once, 0o755); err != nil { // good ones, to begin with
		t.Fatal(err)
	}
	s := serve(t, "--workers", "1", "--", self(), "worker-own-lying", once)
	if err := shortVisit(s.address); err != nil {
		t.Error(err)
	}
	w := &ownWatch{server: s}
	w.until("one", ready(1))
	if err := os.Remove(once); err != nil {
		t.Fatal(err)
	}
	s.signal(unix.SIGUSR1)
	looks := 0
	status := w.until("it has told lies for a while", func(status master.Status) bool {
		looks++
		return looks > 50 && ready(2)(status) && status.Own[0].Value > 1e15
	})
	if status.Own[1].Value != 2 {
		t.Errorf("another's counter: %+v", status.Own[1])
	}
	kill(t, status.Workers[1].PID, unix.SIGKILL)
	w.until("it is replaced", func(status master.Status) bool { return ready(2)(status) && status.Workers[1].Restarts == 1 })
	s.workers, s.masterFDs = 2, s.descriptors()
	s.stop()
}
