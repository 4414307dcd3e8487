package ipc

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Series is one of the measurements that a worker's program makes of its own, as it tells the
// master of it in Metrics: a name, and labels that stay the same. Its numbers lie in the
// scoreboard's memory, at the Place in the worker's environment (MetricsPlace), behind those of
// the series before it, 8 bytes each:
//
//	counter    how many, which never goes down
//	gauge      the value, a float64
//	histogram  how many there were in each bucket, one for each of Bounds, at most as large as
//	           that and larger than the bound before, and one for what is larger than all;
//	           then the sum of all, a float64 that never goes down
type Series struct {
	Name   string            `json:"name"`
	Kind   string            `json:"kind"` // SeriesCounter, SeriesGauge or SeriesHistogram
	Help   string            `json:"help"`
	Labels map[string]string `json:"labels,omitempty"`
	Bounds []float64         `json:"bounds,omitempty"` // of a histogram alone: growing, none below 0
}

// The kinds of a Series.
const (
	SeriesCounter   = "counter"
	SeriesGauge     = "gauge"
	SeriesHistogram = "histogram"
)

// The bounds of what a worker may have, so that one message has room for any series. Lengths
// are in bytes.
const (
	MaxSeries       = 256  // of one worker
	MaxMetricName   = 128  // the length of a name
	MaxMetricHelp   = 512  // the length of a help
	MaxMetricLabels = 1024 // the length of a series' labels, names and values together
	MaxMetricBounds = 64   // of a histogram
)

// reservedPrefixes begin the names of what the master gives to Prometheus by itself.
var reservedPrefixes = [...]string{"usher_", "process_"}

// Check returns why the series cannot be one, by Prometheus' rules and the bounds above; nil:
// it can. The error begins with the series' name.
func (s *Series) Check() error {
	if err := s.check(); err != nil {
		return fmt.Errorf("metric %.140q: %w", s.Name, err)
	}
	return nil
}

func (s *Series) check() error {
	switch {
	case len(s.Name) > MaxMetricName:
		return fmt.Errorf("a name of %d bytes, at most %d", len(s.Name), MaxMetricName)
	case !isMetricName(s.Name, ":"):
		return fmt.Errorf("a name has letters, digits, _ and :, and begins with no digit")
	case s.Help == "" || len(s.Help) > MaxMetricHelp || !utf8.ValidString(s.Help):
		return fmt.Errorf("its help is to be 1 to %d bytes of UTF-8", MaxMetricHelp)
	}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(s.Name, prefix) {
			return fmt.Errorf("names that begin with %s are taken", prefix)
		}
	}
	if err := s.checkBounds(); err != nil {
		return err
	}
	return s.checkLabels()
}

func (s *Series) checkBounds() error {
	switch s.Kind {
	case SeriesCounter, SeriesGauge:
		if len(s.Bounds) > 0 {
			return fmt.Errorf("a %s has no buckets", s.Kind)
		}
		return nil
	case SeriesHistogram:
	default:
		return fmt.Errorf("no kind is called %.40q", s.Kind)
	}
	if len(s.Bounds) < 1 || len(s.Bounds) > MaxMetricBounds {
		return fmt.Errorf("a histogram of %d bounds, want 1 to %d", len(s.Bounds), MaxMetricBounds)
	}
	last := 0.0
	for i, bound := range s.Bounds {
		if !(bound >= last) || i > 0 && bound == last || math.IsInf(bound, 1) {
			return fmt.Errorf("bounds of buckets are to grow, and be finite and not negative: %v is not", bound)
		}
		last = bound
	}
	return nil
}

func (s *Series) checkLabels() error {
	length := 0
	for name, value := range s.Labels {
		length += len(name) + len(value)
		switch {
		case !isMetricName(name, "") || strings.HasPrefix(name, "__"):
			return fmt.Errorf("label %.40q: a name has letters, digits and _, and begins with neither a digit nor __", name)
		case name == "le" && s.Kind == SeriesHistogram:
			return fmt.Errorf("label %q is that of a histogram's buckets", name)
		case !utf8.ValidString(value):
			return fmt.Errorf("label %q: its value is no UTF-8", name)
		}
	}
	if length > MaxMetricLabels {
		return fmt.Errorf("labels of %d bytes, at most %d", length, MaxMetricLabels)
	}
	return nil
}

// isMetricName reports whether s is a name of Prometheus' data model: letters, digits, _ and
// what is in others, and no digit first.
func isMetricName(s, others string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || strings.ContainsRune(others, r)
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// Key is the same for those series alone whose names and labels are.
func (s *Series) Key() string {
	var b strings.Builder
	b.WriteString(s.Name)
	for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
		b.WriteString("," + name + "=" + strconv.Quote(s.Labels[name]))
	}
	return b.String()
}

// like returns in what two series of the same name differ that may not; empty: in nothing.
func (s *Series) like(other *Series) string {
	switch {
	case s.Kind != other.Kind:
		return fmt.Sprintf("a %s, and a %s before", s.Kind, other.Kind)
	case s.Help != other.Help:
		return fmt.Sprintf("its help is %q, and was %q before", s.Help, other.Help)
	case !slices.Equal(s.Bounds, other.Bounds):
		return fmt.Sprintf("its buckets are %v, and were %v before", s.Bounds, other.Bounds)
	}
	return ""
}

// exposed returns the names that the series takes where Prometheus reads it: those of a
// histogram's parts, and a counter's with and without the _total that OpenMetrics asks for.
func (s *Series) exposed() []string {
	switch s.Kind {
	case SeriesCounter:
		base := strings.TrimSuffix(s.Name, "_total")
		return []string{base, base + "_total"}
	case SeriesHistogram:
		return []string{s.Name, s.Name + "_bucket", s.Name + "_sum", s.Name + "_count"}
	}
	return []string{s.Name}
}

// SeriesSet knows series that can stand side by side. The zero value has none.
type SeriesSet struct {
	families map[string]*Series // one of each name
	exposed  map[string]string  // names where Prometheus reads them, and whose they are
	keys     map[string]bool
}

// Fits returns why the series, which has passed Check, cannot stand beside those in the set;
// nil: it can. Another with the same name and labels is no reason.
func (s *SeriesSet) Fits(series *Series) error {
	if family := s.families[series.Name]; family != nil {
		if why := series.like(family); why != "" {
			return fmt.Errorf("metric %q: %s", series.Name, why)
		}
		return nil
	}
	for _, name := range series.exposed() {
		if other, ok := s.exposed[name]; ok {
			return fmt.Errorf("metric %q: Prometheus could not tell it from %q, by the name %s", series.Name, other, name)
		}
	}
	return nil
}

// Add takes a series into the set, unless it is none (Check), does not fit, or is there already.
func (s *SeriesSet) Add(series Series) error {
	if err := series.Check(); err != nil {
		return err
	}
	if err := s.Fits(&series); err != nil {
		return err
	}
	key := series.Key()
	if s.keys[key] {
		return fmt.Errorf("metric %q: there are two with the same labels", series.Name)
	}
	if s.keys == nil {
		s.families, s.exposed, s.keys = make(map[string]*Series), make(map[string]string), make(map[string]bool)
	}
	s.keys[key] = true
	if s.families[series.Name] == nil {
		s.families[series.Name] = &series
	}
	for _, name := range series.exposed() {
		s.exposed[name] = series.Name
	}
	return nil
}

// TellSeries returns the messages that tell of series, as few as they fit into. Each series
// has passed Check.
func TellSeries(series []Series) (messages []Metrics) {
	room := 0
	for _, s := range series {
		b, err := json.Marshal(&s)
		if err != nil {
			panic(err) // Check lets no number through that JSON has not
		}
		if room -= len(b) + len(","); room < 0 {
			messages = append(messages, Metrics{})
			room = MaxMessage - len(`{"type":"metrics","series":[]}`) - len(b)
		}
		last := &messages[len(messages)-1]
		last.Series = append(last.Series, s)
	}
	return messages
}
