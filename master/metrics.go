package master

import (
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// family is one metric, of which there may be several with different labels: what
// /metrics, the dashboard and the alert rules know of it. None that is a counter or a
// histogram goes down while the server lives, whatever becomes of a worker or of the
// master's program; and each is there from the start with all values of its labels that are
// known, at 0: of a counter that comes with its first event Prometheus sees no increase.
type family struct {
	name   string
	help   string
	kind   ipc.CounterKind
	labels []string
	from   func(m *measures, s *samples) // gives its values; of what nobody keeps there are none
}

// metricPrefix begins every name.
const metricPrefix = "usher_"

// families are all that there are: what the master knows by itself, and then each row of
// what workers count. A new row is there without more.
var families = slices.Concat(serverFamilies, connectionFamilies, workerFamilies, rowFamilies(ipc.Rows(), ipc.FurtherRows()))

var serverFamilies = []family{
	{"usher_build_info", "1, with the version of the master's program, and of Go.", ipc.KindGauge, []string{"version", "goversion"}, func(m *measures, s *samples) {
		s.add(1, m.Status.Version, runtime.Version())
	}},
	{"usher_start_time_seconds", "When the master was started, in seconds since 1970; an upgrade leaves it.", ipc.KindGauge, nil, func(m *measures, s *samples) {
		s.add(float64(m.Status.Started.UnixMilli()) / 1000)
	}},
	{"usher_generation", "Generation of workers that serves; each reload begins one.", ipc.KindGauge, nil, func(m *measures, s *samples) {
		s.add(float64(m.Status.Generation))
	}},
	{"usher_reloads_total", "Reloads that are over, by what came of them.", ipc.KindCounter, []string{"result"}, func(m *measures, s *samples) {
		for result, n := range m.Reloads {
			s.add(float64(n), reloadResult(result).String())
		}
	}},
	{"usher_config_last_reload_successful", "1 if the last reload was carried out, or there was none; 0 if it was refused or failed.", ipc.KindGauge, nil, func(m *measures, s *samples) {
		last := m.Status.Reload
		s.add(oneIf(last == nil || last.Result == reloadDone.String() || last.Result == reloadPartial.String()))
	}},
	{"usher_tls_certificate_expiry_timestamp_seconds", "When a certificate expires, in seconds since 1970.", ipc.KindGauge, []string{"file"}, func(m *measures, s *samples) {
		var told []string
		for _, c := range m.Status.Certificates {
			if !slices.Contains(told, c.File) {
				told = append(told, c.File)
				s.add(float64(c.NotAfter.Unix()), c.File)
			}
		}
	}},
}

var connectionFamilies = []family{
	{"usher_connections_accepted_total", "Connections accepted, by listener.", ipc.KindCounter, []string{"listener", "address"}, func(m *measures, s *samples) {
		for _, l := range m.Meters.Listeners {
			s.add(float64(l.Accepted), l.Name, l.Address)
		}
	}},
	{"usher_accept_errors_total", "Errors of accept4(2), by errno.", ipc.KindCounter, []string{"errno"}, func(m *measures, s *samples) {
		s.addAll(tallies(m.Meters.Failed).clone(dispatch.ExpectedFailures()...))
	}},
	{"usher_connections_refused_total", "Connections closed by the master, by the limit that they were beyond, or at a stop.", ipc.KindCounter, []string{"reason"}, func(m *measures, s *samples) {
		s.addAll(tallies(m.Meters.RefusedBy).clone(dispatch.RefusalReasons()...))
	}},
	{"usher_connections_closed_total", "Connections closed by their workers.", ipc.KindCounter, nil, ofConns(func(c *dispatch.Conns) uint64 { return c.Closed })},
	{"usher_connections_lost_total", "Connections closed by the death of a worker, or by what went wrong in a move.", ipc.KindCounter, nil, ofConns(func(c *dispatch.Conns) uint64 { return c.Lost })},
	{"usher_connections_moved_total", "Moves of connections from one worker to another.", ipc.KindCounter, nil, ofConns(func(c *dispatch.Conns) uint64 { return c.Moved })},
	{"usher_connections_cut_total", "Of the closed connections, those that the deadline of a drain ended.", ipc.KindCounter, nil, ofConns(func(c *dispatch.Conns) uint64 { return c.Cut })},
	{"usher_connections_active", "Connections received by a worker and open.", ipc.KindGauge, slotLabel, ofWorkers(func(w *WorkerStatus, s *samples) {
		s.add(float64(w.Connections), strconv.Itoa(w.Slot))
	})},
	{"usher_queue_connections", "Connections sent to a worker and not yet received.", ipc.KindGauge, slotLabel, ofWorkers(func(w *WorkerStatus, s *samples) {
		s.add(float64(w.Queued), strconv.Itoa(w.Slot))
	})},
}

var workerFamilies = []family{
	{"usher_workers", "Workers, by state.", ipc.KindGauge, []string{"state"}, func(m *measures, s *samples) {
		states := make(map[string]int)
		for _, w := range m.Status.Workers {
			states[w.State]++
		}
		for state := stateGone; state <= stateDraining; state++ {
			s.add(float64(states[state.String()]), state.String())
		}
	}},
	{"usher_workers_wanted", "Workers that there are to be.", ipc.KindGauge, nil, func(m *measures, s *samples) {
		s.add(float64(m.Status.Wanted))
	}},
	{"usher_worker_restarts_total", "Restarts of workers, by how the one before ended.", ipc.KindCounter, []string{"reason"}, func(m *measures, s *samples) {
		s.addAll(m.Restarts.clone(restartReasons...))
	}},
	{"usher_worker_cpu_seconds_total", "Processor time of all workers, those that are gone included.", ipc.KindCounter, nil, func(m *measures, s *samples) {
		s.add(m.WorkersCPU.Seconds())
	}},
	{"usher_worker_resident_memory_bytes", "Resident memory of a worker.", ipc.KindGauge, slotLabel, ofWorkers(func(w *WorkerStatus, s *samples) {
		if w.RSSBytes != nil {
			s.add(float64(*w.RSSBytes), strconv.Itoa(w.Slot))
		}
	})},
}

var slotLabel = []string{"slot"}

func ofConns(value func(*dispatch.Conns) uint64) func(*measures, *samples) {
	return func(m *measures, s *samples) { s.add(float64(value(&m.Meters.Totals.Conns))) }
}

func ofWorkers(add func(*WorkerStatus, *samples)) func(*measures, *samples) {
	return func(m *measures, s *samples) {
		for i := range m.Status.Workers {
			add(&m.Status.Workers[i], s)
		}
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// row is one of the rows of what workers count, and how it is read.
type row struct {
	*ipc.Counter
	further bool // of ipc.Further
}

// rowFamilies are the metrics of what workers count: of counters and histograms the totals
// of all workers, of gauges one for each worker. What status has a field of its own for is
// no metric by its row.
func rowFamilies(entry, further []ipc.Counter) (all []family) {
	byName := make(map[string][]row)
	var names []string
	add := func(rows []ipc.Counter, further bool) {
		for i := range rows {
			c := &rows[i]
			if !c.Listed && c.Kind != ipc.KindHistogram {
				continue
			}
			name := metricName(c)
			if byName[name] == nil {
				names = append(names, name)
			}
			byName[name] = append(byName[name], row{c, further})
		}
	}
	add(entry, false)
	add(further, true)
	for _, name := range names {
		all = append(all, rowFamily(name, byName[name]))
	}
	return all
}

func rowFamily(name string, rows []row) family {
	first := &rows[0].Metric
	f := family{name: name, help: strings.ToUpper(first.Help[:1]) + first.Help[1:] + ".", kind: rows[0].Kind}
	if first.Labelled() {
		f.labels = append(f.labels, first.Label[0])
	}
	if f.kind == ipc.KindGauge {
		f.labels = append(f.labels, slotLabel...)
	}
	f.from = func(m *measures, s *samples) {
		for _, row := range rows {
			row.give(m, s)
		}
	}
	return f
}

// metricName returns a row's whole name.
func metricName(c *ipc.Counter) string {
	name := metricPrefix + c.Metric.Name
	switch {
	case c.Unit == nanoseconds:
		name += "_seconds"
	case c.Unit == "bytes" && !strings.Contains(name, "bytes"):
		name += "_bytes"
	}
	if c.Kind == ipc.KindCounter {
		name += "_total"
	}
	return name
}

// nanoseconds is a unit that metrics do not have: theirs are seconds.
const nanoseconds = "nanoseconds"

// give adds the row's values, as far as workers keep it.
func (r row) give(m *measures, s *samples) {
	var labels []string
	if r.Metric.Labelled() {
		labels = append(labels, r.Metric.Label[1])
	}
	all := &m.Meters.Further
	switch {
	case r.Kind == ipc.KindHistogram:
		if h := all.Histogram(r.Counter); h != nil {
			s.histogram(h, labels...)
		}
	case r.Kind == ipc.KindGauge:
		for _, w := range m.Status.Workers {
			if value, ok := r.ofWorker(m, w.Slot); ok {
				s.add(r.inUnit(value), append(slices.Clone(labels), strconv.Itoa(w.Slot))...)
			}
		}
	case !r.further:
		s.add(r.inUnit(r.Of(&m.Meters.Totals.Said)), labels...)
	case all.Has(r.Counter):
		s.add(r.inUnit(all.Number(r.Counter)), labels...)
	}
}

func (r row) ofWorker(m *measures, slot int) (value uint64, ok bool) {
	if !r.further {
		w, ok := m.Meters.Workers[slot]
		return r.Of(&w.Said), ok && w.Said.Sequence != 0
	}
	reading := m.Meters.FurtherOf[slot]
	if reading == nil || !reading.Has(r.Counter) {
		return 0, false
	}
	return reading.Number(r.Counter), true
}

func (r row) inUnit(value uint64) float64 {
	if r.Unit == nanoseconds {
		return float64(value) / 1e9
	}
	return float64(value)
}
