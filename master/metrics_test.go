package master

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/usher-go/usher/internal/pagetest"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// gathered returns what /metrics would say of measures, by name.
func gathered(t *testing.T, m *measures) map[string]*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collector{m})
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]*dto.MetricFamily)
	for _, f := range all {
		byName[f.GetName()] = f
	}
	return byName
}

// everything are measures of two workers in which each row has a value of its own: the
// row's number, counted from 1, and of histograms that in each bucket.
func everything() *measures {
	block := new(ipc.FurtherCounters)
	for i, row := range ipc.FurtherRows() {
		block.Store(row, uint64(i+1))
	}
	block.Keep()
	further := ipc.FurtherReading(block.Load())
	entry := new(ipc.Entry)
	entry.Sequence.Store(2)
	entry.Handshakes.Store(7)
	entry.HandshakesRefused.Store(3)
	said := entry.Load()
	rss, cpu := int64(4096), 1.5
	workers := []WorkerStatus{{Slot: 0, PID: 10, State: "ready", RSSBytes: &rss, CPUSeconds: &cpu}, {Slot: 3, PID: 11, State: "draining", RSSBytes: &rss}}
	return &measures{
		Status: Status{
			Version: "1", Generation: 2, Workers: workers, Wanted: 1, Started: time.Unix(1700000000, 0),
			Certificates: []CertificateStatus{{File: "/etc/\xff.pem", NotAfter: time.Unix(1800000000, 0)}, {File: "/etc/\xff.pem"}},
		},
		Meters: dispatch.Meters{
			Totals:    dispatch.Totals{Conns: dispatch.Conns{Accepted: 5, Closed: 4, Moved: 3, Lost: 2, Refused: 1}, Said: said},
			Listeners: []dispatch.ListenerCount{{Name: "web", Address: "127.0.0.1:80", Accepted: 5}}, RefusedBy: map[string]uint64{"overload": 1}, Failed: map[string]uint64{"EMFILE": 1},
			Workers: map[int]dispatch.WorkerCounts{0: {Said: said}, 3: {}},
			Further: further, FurtherOf: map[int]*ipc.FurtherReading{0: &further, 3: new(ipc.FurtherReading)},
		},
	}
}

// The names are a promise: dashboards of others are made of them.
func TestMetricNamesStay(t *testing.T) {
	names := strings.Fields(`usher_accept_errors_total usher_build_info usher_start_time_seconds usher_generation usher_reloads_total usher_config_last_reload_successful
		usher_connections_accepted_total usher_connections_refused_total usher_connections_closed_total usher_connections_lost_total
		usher_connections_moved_total usher_connections_active usher_queue_connections usher_queue_wait_seconds usher_move_pause_seconds
		usher_loop_lag_seconds usher_worker_restarts_total usher_worker_cpu_seconds_total usher_worker_reads_total usher_worker_turns_total
		usher_worker_longest_turn_seconds usher_worker_posts_total usher_worker_buffered_bytes usher_http_requests_total
		usher_http_request_seconds usher_worker_resident_memory_bytes usher_worker_bytes_received_total usher_worker_bytes_sent_total
		usher_tls_handshakes_total usher_tls_certificate_expiry_timestamp_seconds`)
	all := gathered(t, everything())
	for _, name := range names {
		if all[name] == nil {
			t.Errorf("no %s among %q", name, slices.Sorted(maps.Keys(all)))
		}
	}
	for i := range families {
		if f := &families[i]; all[f.name] == nil {
			t.Errorf("%s has no value, though all is kept", f.name)
		}
	}
}

// A server that has just started has its counters at 0, with the labels that they will have:
// increase() is blind to the event with which a counter comes.
func TestCountersFromTheStart(t *testing.T) {
	all := gathered(t, new(measures))
	for name, labels := range map[string][]string{
		"usher_reloads_total":             {reloadDone.String(), reloadPartial.String(), reloadRefused.String(), reloadFailed.String()},
		"usher_connections_refused_total": dispatch.RefusalReasons(),
		"usher_accept_errors_total":       dispatch.ExpectedFailures(),
		"usher_worker_restarts_total":     restartReasons,
	} {
		var got []string
		for _, m := range all[name].GetMetric() {
			got = append(got, m.GetLabel()[0].GetValue())
			if m.GetCounter().GetValue() != 0 {
				t.Errorf("%s: %v, want 0", name, m)
			}
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(labels)); !slices.Equal(got, want) {
			t.Errorf("%s is of %q, want %q", name, got, want)
		}
	}
}

// Each row of what workers count is a metric, with the value that was counted.
func TestEveryRowIsAMetric(t *testing.T) {
	all := gathered(t, everything())
	for i, row := range ipc.FurtherRows() {
		if row.Kind == ipc.KindBookkeeping {
			continue
		}
		f := all[metricName(&row)]
		if f == nil {
			t.Errorf("%s: no %s", row.Name, metricName(&row))
			continue
		}
		metric, labels := f.GetMetric()[0], map[string]string{}
		for _, m := range f.GetMetric() {
			if row.Metric.Labelled() && m.GetLabel()[0].GetValue() == row.Metric.Label[1] {
				metric = m
			}
		}
		for _, pair := range metric.GetLabel() {
			labels[pair.GetName()] = pair.GetValue()
		}
		want := float64(i + 1)
		if row.Unit == nanoseconds {
			want /= 1e9
		}
		got := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetHistogram().GetSampleSum()
		if got != want {
			t.Errorf("%s: %v, want %v", row.Name, got, want)
		}
		if h := metric.GetHistogram(); row.Kind == ipc.KindHistogram {
			buckets := h.GetBucket()
			n := uint64(i + 1)
			if len(buckets) != len(ipc.DurationBounds) || buckets[1].GetUpperBound() != 50e-6 || buckets[1].GetCumulativeCount() != 2*n || h.GetSampleCount() != n*uint64(len(buckets)+1) {
				t.Errorf("%s: %v", row.Name, h)
			}
		}
		if row.Kind == ipc.KindGauge && (labels["slot"] != "0" || len(f.GetMetric()) != 1) {
			t.Errorf("%s is of %v, not of slot 0 alone, the only one that keeps it", row.Name, f.GetMetric())
		}
	}
	values := map[string]float64{}
	for _, m := range all["usher_tls_handshakes_total"].GetMetric() {
		values[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	if want := map[string]float64{"completed": 7, "failed": 3}; !maps.Equal(values, want) {
		t.Errorf("handshakes %v, want %v", values, want)
	}
}

// What no worker keeps is absent, not 0.
func TestMetricsThatNobodyKeepsAreAbsent(t *testing.T) {
	m := everything()
	m.Meters.Further, m.Meters.FurtherOf = ipc.FurtherReading{}, map[int]*ipc.FurtherReading{0: {}}
	all := gathered(t, m)
	for _, row := range ipc.FurtherRows() {
		if f := all[metricName(&row)]; f != nil {
			t.Errorf("%s is there: %v", row.Name, f)
		}
	}
	// A worker whose version knows the rows up to reads.
	older := ipc.FurtherReading{Kept: 32, BytesSent: 4, Reads: 5}
	m.Meters.Further = older
	all = gathered(t, m)
	if got := all["usher_worker_reads_total"].GetMetric(); len(got) != 1 || got[0].GetCounter().GetValue() != 5 || all["usher_worker_turns_total"] != nil {
		t.Errorf("of an older worker: %v, %v", got, all["usher_worker_turns_total"])
	}
}

func TestWorkersCPUDoesNotGoDown(t *testing.T) {
	var h highWater
	for _, step := range []struct{ read, want time.Duration }{{5, 5}, {3, 5}, {6, 6}} {
		if got := h.atLeast(step.read); got != step.want {
			t.Errorf("%v: %v, want %v", step.read, got, step.want)
		}
	}
}

// What was told goes on through an upgrade, in which the workers that ended just before may
// not have been counted yet.
func TestWorkersCPUInUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := newFakeMaster(1, 2)
		synctest.Wait()
		before.look(func() {
			before.shownCPU.atLeast(5 * time.Second)
			state, err := before.state(dispatch.State{})
			if err != nil {
				t.Error(err)
				return
			}
			state.Slots = nil
			after := newSupervisor(before.config, new(eventLog), before, processes{}, goSleeper())
			after.restore(state, nil)
			if got := after.shownCPU.atLeast(time.Second); got != 5*time.Second {
				t.Errorf("%v after an upgrade, 5s before", got)
			}
		})
		before.abandon()
	})
}

// Only a server that takes connections, and has someone to serve them, is ready: see
// /readyz.
func TestUnready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fm := newFakeMaster(1, 2)
		synctest.Wait()
		expect := func(when, want string) {
			t.Helper()
			fm.look(func() {
				if got := fm.measure().Unready; got != want {
					t.Errorf("%s: %q, want %q", when, got, want)
				}
			})
		}
		expect("at the start", "")
		fm.look(func() {
			fm.mute = true
			for pid := range fm.live {
				fm.inbox.Put(child.Exited{ID: fm.live[pid].spec.ID, Status: 256, CPU: time.Second})
				delete(fm.live, pid)
			}
		})
		synctest.Wait()
		expect("while the only worker starts again", "no worker is ready")
		fm.look(func() {
			if got := fm.measure().WorkersCPU; got != time.Second {
				t.Errorf("%v of the worker that is gone", got)
			}
			fm.booted = false
		})
		expect("before the boot", "starting")
		fm.look(func() { fm.booted = true })
		fm.abandon()
	})
}

// docs/operations.md lists every metric.
func TestMetricsListed(t *testing.T) {
	var table strings.Builder
	table.WriteString("| metric | kind | |\n|---|---|---|\n")
	for i := range families {
		f := &families[i]
		name := f.name
		if f.labels != nil {
			name += "{" + strings.Join(f.labels, ",") + "}"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", name, f.kind, f.help)
	}
	pagetest.Part(t, "../docs/operations.md", "metrics", table.String(), *update)
}
