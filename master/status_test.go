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
	totals  dispatch.Totals
	workers map[int]dispatch.WorkerCounts
}

func (c counted) Snapshot() (dispatch.Totals, map[int]dispatch.WorkerCounts) {
	return c.totals, c.workers
}

// Status shows every row of the table that is listed, of each worker, and the total of
// those that are kept, under the names that the table has. The ones that there were
// first have fields of their own: those added later are listed.
func TestEveryCounterIsShown(t *testing.T) {
	entry := new(ipc.Entry)
	for _, row := range ipc.Rows() {
		entry.Store(row, uint64(row.Offset)+1)
	}
	said := entry.Load()
	s := &supervisor{config: &Config{}, dispatch: counted{
		totals:  dispatch.Totals{Said: said},
		workers: map[int]dispatch.WorkerCounts{0: {Said: said}, 1: {}}, // 1 keeps no scoreboard
	}}
	s.slots.put(&slot{number: 0})
	s.slots.put(&slot{number: 1})
	text, err := json.Marshal(s.status())
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Workers  []struct{ Counters map[string]uint64 }
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
	if c := got.Workers[1].Counters; c != nil {
		t.Errorf("of one that keeps no scoreboard: %v", c)
	}
}
