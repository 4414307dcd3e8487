package ipc

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestSeriesCheck(t *testing.T) {
	long := strings.Repeat("x", MaxMetricName+1)
	for name, test := range map[string]struct {
		change func(*Series)
		err    string // empty: it is one
	}{
		"as it is":              {func(*Series) {}, ""},
		"a colon":               {func(s *Series) { s.Name = "a:b" }, ""},
		"no name":               {func(s *Series) { s.Name = "" }, `metric "": a name has letters`},
		"a digit first":         {func(s *Series) { s.Name = "1a" }, "begins with no digit"},
		"a dash":                {func(s *Series) { s.Name = "a-b" }, `metric "a-b": a name has letters`},
		"a letter beyond ASCII": {func(s *Series) { s.Name = "ä" }, "a name has letters"},
		"a newline":             {func(s *Series) { s.Name = "a\n" }, "a name has letters"},
		"a long name":           {func(s *Series) { s.Name = long }, "a name of 129 bytes, at most 128"},
		"the longest":           {func(s *Series) { s.Name = long[1:] }, ""},
		"usher's":               {func(s *Series) { s.Name = "usher_orders" }, `metric "usher_orders": names that begin with usher_ are taken`},
		"the process'":          {func(s *Series) { s.Name = "process_x" }, `metric "process_x": names that begin with process_ are taken`},
		"no help":               {func(s *Series) { s.Help = "" }, "its help is to be"},
		"a long help":           {func(s *Series) { s.Help = strings.Repeat("x", MaxMetricHelp+1) }, "its help is to be"},
		"a help of two lines":   {func(s *Series) { s.Help = "a\nb" }, ""},
		"a help of no text":     {func(s *Series) { s.Help = "\xff" }, "its help is to be"},
		"no kind":               {func(s *Series) { s.Kind = "" }, `no kind is called ""`},
		"another kind":          {func(s *Series) { s.Kind = "summary" }, `no kind is called "summary"`},
		"a counter's buckets":   {func(s *Series) { s.Kind = SeriesCounter }, "a counter has no buckets"},
		"no buckets":            {func(s *Series) { s.Bounds = nil }, "a histogram of 0 bounds"},
		"too many":              {func(s *Series) { s.Bounds = make([]float64, MaxMetricBounds+1) }, "a histogram of 65 bounds"},
		"a bound twice":         {func(s *Series) { s.Bounds = []float64{1, 1} }, "1 is not"},
		"bounds that fall":      {func(s *Series) { s.Bounds = []float64{2, 1} }, "1 is not"},
		"a negative bound":      {func(s *Series) { s.Bounds = []float64{-1, 1} }, "-1 is not"},
		"NaN":                   {func(s *Series) { s.Bounds = []float64{1, math.NaN()} }, "NaN is not"},
		"+Inf":                  {func(s *Series) { s.Bounds = []float64{1, math.Inf(1)} }, "+Inf is not"},
		"from 0":                {func(s *Series) { s.Bounds = []float64{0, 1} }, ""},
		"a label of two lines":  {func(s *Series) { s.Labels["a"] = "b\nc\"\\" }, ""},
		"an empty label":        {func(s *Series) { s.Labels[""] = "b" }, `label "": a name has letters`},
		"a label's colon":       {func(s *Series) { s.Labels["a:b"] = "b" }, `label "a:b"`},
		"a reserved label":      {func(s *Series) { s.Labels["__a"] = "b" }, `label "__a"`},
		"a histogram's label":   {func(s *Series) { s.Labels["le"] = "1" }, `label "le" is that of a histogram's buckets`},
		"a label of no text":    {func(s *Series) { s.Labels["a"] = "\xff" }, `label "a": its value is no UTF-8`},
		"long labels":           {func(s *Series) { s.Labels["a"] = strings.Repeat("x", MaxMetricLabels) }, "labels of 1031 bytes, at most 1024"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Series{Name: "order_seconds", Kind: SeriesHistogram, Help: "h", Labels: map[string]string{"kind": "x", "b": ""}, Bounds: []float64{1, 2}}
			test.change(&s)
			err := s.Check()
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%v, want %q", err, test.err)
			}
		})
	}
}

func TestSeriesSet(t *testing.T) {
	counter := Series{Name: "orders_total", Kind: SeriesCounter, Help: "h"}
	with := func(s Series, name, kind, help string, bounds ...float64) Series {
		return Series{Name: name, Kind: kind, Help: help, Bounds: bounds, Labels: s.Labels}
	}
	histogram := with(counter, "took", SeriesHistogram, "h", 1, 2)
	labelled := counter
	labelled.Labels = map[string]string{"kind": "book"}
	for name, test := range map[string]struct {
		second Series
		err    string
	}{
		"another":                      {with(counter, "carts", SeriesGauge, "h"), ""},
		"another label":                {labelled, ""},
		"the same":                     {counter, `metric "orders_total": there are two with the same labels`},
		"another kind":                 {with(labelled, "orders_total", SeriesGauge, "h"), `metric "orders_total": a gauge, and a counter before`},
		"another help":                 {with(labelled, "orders_total", SeriesCounter, "H"), `metric "orders_total": its help is "H", and was "h" before`},
		"other buckets":                {with(labelled, "took", SeriesHistogram, "h", 1, 3), `metric "took": its buckets are [1 3], and were [1 2] before`},
		"a histogram's sum":            {with(counter, "took_sum", SeriesGauge, "h"), `metric "took_sum": Prometheus could not tell it from "took", by the name took_sum`},
		"a histogram's count":          {with(counter, "took_count", SeriesCounter, "h"), `by the name took_count`},
		"a histogram's bucket":         {with(counter, "took_bucket", SeriesGauge, "h"), `by the name took_bucket`},
		"a counter without its suffix": {with(counter, "orders", SeriesCounter, "h"), `metric "orders": Prometheus could not tell it from "orders_total"`},
		"a gauge of the same base":     {with(counter, "orders", SeriesGauge, "h"), `by the name orders`},
		"one that cannot be":           {with(counter, "usher_x", SeriesGauge, "h"), `names that begin with usher_`},
	} {
		t.Run(name, func(t *testing.T) {
			var set SeriesSet
			for _, s := range []Series{counter, histogram} {
				if err := set.Add(s); err != nil {
					t.Fatal(err)
				}
			}
			err := set.Add(test.second)
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%v, want %q", err, test.err)
			}
		})
	}
}

// All that a worker may have, at its longest, fits into messages.
func TestTellSeries(t *testing.T) {
	escaped := strings.Repeat("\x01", MaxMetricHelp)
	var told []Series
	for i := range MaxSeries {
		s := Series{Name: fmt.Sprintf("%s%03d", strings.Repeat("x", MaxMetricName-3), i), Kind: SeriesHistogram, Help: escaped,
			Labels: map[string]string{"a": strings.Repeat("\x01", MaxMetricLabels-1)}}
		for b := range MaxMetricBounds {
			s.Bounds = append(s.Bounds, 1.2345678901234567e-100*float64(b+1))
		}
		if i%2 == 0 {
			s = Series{Name: s.Name, Kind: SeriesGauge, Help: "h"}
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		told = append(told, s)
	}
	var heard []Series
	for _, m := range TellSeries(told) {
		b, err := EncodeMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseMessage(b)
		if err != nil {
			t.Fatal(err)
		}
		heard = append(heard, got.(Metrics).Series...)
	}
	if !slices.EqualFunc(told, heard, func(a, b Series) bool { return a.Key() == b.Key() && a.like(&b) == "" }) {
		t.Error("what was heard is not what was told")
	}
	if TellSeries(nil) != nil {
		t.Error("nothing is told in a message")
	}
	short := make([]Series, 20)
	if n := len(TellSeries(short)); n != 1 {
		t.Errorf("%d messages for 20 short series", n)
	}
}

// Whatever a worker writes, what is read of it can be true, and no total goes down.
func TestSeriesBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Series{Name: "x", Kind: rapid.SampledFrom([]string{SeriesCounter, SeriesGauge, SeriesHistogram}).Draw(t, "kind"), Help: "h"}
		if s.Kind == SeriesHistogram {
			s.Bounds = []float64{1}
		}
		any := rapid.OneOf(rapid.Uint64(), rapid.Map(rapid.Float64(), math.Float64bits), rapid.Uint64Max(100),
			rapid.SampledFrom([]uint64{math.MaxUint64, math.Float64bits(math.Inf(1)), math.Float64bits(math.Inf(-1)), math.Float64bits(math.NaN()), math.Float64bits(math.MaxFloat64)}))
		total, before := make([]uint64, s.Numbers()), make([]uint64, s.Numbers())
		for range rapid.IntRange(1, 20).Draw(t, "readings") {
			now := rapid.SliceOfN(any, s.Numbers(), s.Numbers()).Draw(t, "now")
			was := slices.Clone(total)
			s.Bound(now, before)
			s.AddGrowth(total, now, before)
			for i := range now {
				if s.Kind == SeriesGauge || s.isSum(i) {
					a, b := math.Float64frombits(now[i]), math.Float64frombits(before[i])
					if math.IsNaN(a) || math.IsInf(a, 0) || s.isSum(i) && (a < b || math.Float64frombits(total[i]) < math.Float64frombits(was[i])) {
						t.Fatalf("%s: %v after %v, total %v after %v", s.Kind, now, before, total, was)
					}
				} else if now[i] < before[i] || now[i] > maxCounter || total[i] < was[i] {
					t.Fatalf("%s: %v after %v, total %v after %v", s.Kind, now, before, total, was)
				}
			}
			copy(before, now)
		}
	})
}

func TestMetricsPlace(t *testing.T) {
	want := Place{Offset: 6144, Length: MetricsSize}
	for _, test := range []struct {
		name    string
		environ []string
		want    Place
	}{
		{"none", []string{"A=1", "USHER_METRIC=1,2"}, Place{}},
		{"as it is written", []string{"A=1", MetricsEnviron(want)}, want},
		{"no length", []string{"USHER_METRICS=8"}, Place{}},
		{"no number", []string{"USHER_METRICS=a,8"}, Place{}},
		{"empty", []string{"USHER_METRICS="}, Place{}},
	} {
		if got := MetricsPlace(test.environ); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// The numbers are behind all else in a board that was made for them, for whoever maps it.
func TestNumbers(t *testing.T) {
	s, places, err := NewScoreboardFor(2)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mine, err := s.Numbers(places.Metrics)
	if err != nil || len(mine) != MetricsSize/8 {
		t.Fatal(len(mine), err)
	}
	theirs, err := MapNumbers(s.FD(), places.Metrics)
	if err != nil || len(theirs) != len(mine) {
		t.Fatal(len(theirs), err)
	}
	for i := range theirs {
		theirs[i].Store(^uint64(0))
	}
	if mine[0].Load() == 0 || mine[len(mine)-1].Load() == 0 {
		t.Error("the two mappings have different numbers")
	}
	further, err := s.Further(places.Further)
	if r := further.Load(); err != nil || r != (FurtherReading{}) {
		t.Errorf("the further counters: %+v, %v", r, err)
	}
	for name, test := range map[string]struct {
		place Place
		fails bool
	}{
		"nowhere":      {Place{}, false},
		"too short":    {Place{Offset: 8, Length: 7}, false},
		"not aligned":  {Place{Offset: 4, Length: 8}, true},
		"over the end": {Place{Offset: places.Metrics.Offset + 8, Length: MetricsSize}, true},
		"negative":     {Place{Offset: -8, Length: 8}, true},
	} {
		for of, numbers := range map[string]func(Place) (int, error){
			"a board":      func(p Place) (int, error) { n, err := s.Numbers(p); return len(n), err },
			"a descriptor": func(p Place) (int, error) { n, err := MapNumbers(s.FD(), p); return len(n), err },
		} {
			if n, err := numbers(test.place); n != 0 || (err != nil) != test.fails {
				t.Errorf("%s of %s: %d, %v", name, of, n, err)
			}
		}
	}
	if _, err := MapNumbers(0, places.Metrics); err == nil {
		t.Error("numbers of a descriptor that is no scoreboard")
	}
}
