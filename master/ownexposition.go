package master

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/usher-go/usher/ipc"
)

// ownCollector gives client_golang what worker programs measure of their own. ipc.SeriesSet
// has seen to it that nothing in it is in the way of anything else, and that all of it can be
// said.
type ownCollector []OwnMetric

// Describe gives nothing: nobody knows what there will be.
func (c ownCollector) Describe(chan<- *prometheus.Desc) {}

// Collect gives the values.
func (c ownCollector) Collect(out chan<- prometheus.Metric) {
	for i := range c {
		out <- c[i].sample()
	}
}

func (m *OwnMetric) sample() prometheus.Metric {
	names := slices.Sorted(maps.Keys(m.Labels))
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = m.Labels[name]
	}
	description := prometheus.NewDesc(m.Name, m.Help, names, nil)
	switch m.Kind {
	case ipc.SeriesHistogram:
		buckets, count := make(map[float64]uint64, len(m.Histogram.Bounds)), uint64(0)
		for i, n := range m.Histogram.Buckets {
			if count += n; i < len(m.Histogram.Bounds) {
				buckets[m.Histogram.Bounds[i]] = count
			}
		}
		return prometheus.MustNewConstHistogram(description, count, m.Histogram.Sum, buckets, values...)
	case ipc.SeriesGauge:
		return prometheus.MustNewConstMetric(description, prometheus.GaugeValue, m.Value, values...)
	}
	return prometheus.MustNewConstMetric(description, prometheus.CounterValue, m.Value, values...)
}
