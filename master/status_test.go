package master

import (
	"encoding/json"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// counted is an accept goroutine that has counts, and nothing else.
type counted struct {
	acceptor
	meters dispatch.Meters
}

func (c counted) Meters() dispatch.Meters { return c.meters }

// Status shows every row of the table that is listed, of each worker, and the total of
// those that are kept, under the names that the table has. The ones that there were
// first have fields of their own: those added later are listed.
func TestEveryCounterIsShown(t *testing.T) {
	entry := new(ipc.Entry)
	for _, row := range ipc.Rows() {
		entry.Store(row, uint64(row.Offset)+1)
	}
	said := entry.Load()
	block := new(ipc.FurtherCounters)
	block.Keep()
	for _, row := range ipc.FurtherRows()[1:] {
		block.Store(row, uint64(row.Offset)+1)
	}
	further := block.Load()
	older := ipc.FurtherReading{Kept: 24, BytesReceived: 5}
	s := &supervisor{config: &Config{}, dispatch: counted{meters: dispatch.Meters{
		Totals: dispatch.Totals{Said: said}, Further: further,
		Workers:   map[int]dispatch.WorkerCounts{0: {Said: said}, 1: {}, 2: {Said: said}, 3: {Said: said}}, // 1 keeps no scoreboard
		FurtherOf: map[int]*ipc.FurtherReading{0: &further, 2: &older, 3: {}},
	}}}
	s.slots.put(&slot{number: 0})
	s.slots.put(&slot{number: 1})
	s.slots.put(&slot{number: 2})
	s.slots.put(&slot{number: 3})
	text, err := json.Marshal(s.measure().Status)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Workers []struct {
			Counters map[string]uint64
			BytesIn  *uint64 `json:"bytes_in"`
			BytesOut *uint64 `json:"bytes_out"`
		}
		Counters map[string]uint64
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, row := range ipc.Rows() {
		t.Logf("row %s", row.Name)
		value, shown := got.Workers[0].Counters[row.Name]
		if want := row.Listed; shown != want || shown && value != uint64(row.Offset)+1 {
			t.Errorf("%s of a worker: %d, shown %v, want %v", row.Name, value, shown, want)
		}
		if newer := row.Offset > 72 && row.Size == 8; row.Listed != newer {
			t.Errorf("%s: listed %v", row.Name, row.Listed)
		}
		total, shown := got.Counters[row.Name]
		if want := row.Listed && row.Kept(); shown != want || shown && total != uint64(row.Offset)+1 {
			t.Errorf("the total of %s: %d, shown %v, want %v", row.Name, total, shown, want)
		}
	}
	for _, row := range ipc.FurtherRows()[1:] {
		t.Logf("row %s", row.Name)
		for who, counters := range map[string]map[string]uint64{"a worker": got.Workers[0].Counters, "all": got.Counters} {
			value, shown := counters[row.Name]
			if want := row.Kind != ipc.KindHistogram && (row.Kept() || who == "a worker"); shown != want || shown && value != uint64(row.Offset)+1 {
				t.Errorf("%s of %s: %d, shown %v, want %v", row.Name, who, value, shown, want)
			}
		}
		value, shown := got.Workers[2].Counters[row.Name]
		if want := row.Offset < 24; shown != want || row.Name == "bytes_received" && value != 5 {
			t.Errorf("%s of an older worker: %d, shown %v", row.Name, value, shown)
		}
		if _, shown := got.Workers[3].Counters[row.Name]; shown {
			t.Errorf("%s of one that keeps nothing is shown", row.Name)
		}
	}
	for i, want := range map[int]bool{0: true, 1: false, 2: true, 3: false} {
		if w := got.Workers[i]; (w.BytesIn != nil) != want || (w.BytesOut != nil) != want {
			t.Errorf("worker %d: bytes %v and %v, shown: want %v", i, w.BytesIn, w.BytesOut, want)
		}
	}
	if c := got.Workers[1].Counters; len(c) > 0 {
		t.Errorf("of one that keeps no scoreboard: %v", c)
	}
}
