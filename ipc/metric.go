package ipc

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"unsafe"
)

// Metric is what a row is called among metrics (Prometheus). Without tags of its own that
// comes from the row's name: a counter is worker_NAME, a histogram the name alone, since no
// worker has it to itself. The tags are:
//
//	metric its name, where that is another
//	label  NAME=VALUE: several rows are one metric, and this tells them apart
//	about  help for all of them: of the first one
type Metric struct {
	Name  string // without what stands before all metrics' names, and without unit and _total behind
	Help  string // of one row, or of all that share the name; without quotes and a stop
	Label [2]string
}

// Labelled reports whether the row is one of several that share the name.
func (m *Metric) Labelled() bool { return m.Label[0] != "" }

// quoted is a name of another row, as Counter.Help has it.
var quoted = regexp.MustCompile(`\B'([a-z_]+)'\B`)

func newMetric(c *Counter, tag reflect.StructTag) (m Metric, err error) {
	m = Metric{Name: tag.Get("metric"), Help: quoted.ReplaceAllString(c.Help, "$1")}
	if m.Name == "" {
		m.Name = c.Name
		if c.Kind != KindHistogram {
			m.Name = "worker_" + c.Name
		}
	}
	label, has := tag.Lookup("label")
	if !has {
		return m, nil
	}
	m.Help = tag.Get("about")
	var ok bool
	if m.Label[0], m.Label[1], ok = strings.Cut(label, "="); !ok || m.Label[0] == "" {
		return m, fmt.Errorf("label %q is not NAME=VALUE", label)
	}
	return m, nil
}

// Number returns the row's value; 0 of a row that is not kept, or of a histogram.
func (r *FurtherReading) Number(c *Counter) uint64 {
	if c.Kind == KindHistogram || !r.Has(c) {
		return 0
	}
	return r.values()[c.field]
}

// Histogram returns what a row holds that is a histogram; nil if it is none, or is not kept.
func (r *FurtherReading) Histogram(c *Counter) *Histogram[uint64] {
	if c.Kind != KindHistogram || !r.Has(c) {
		return nil
	}
	return (*Histogram[uint64])(unsafe.Pointer(&r.values()[c.field]))
}
