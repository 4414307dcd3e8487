package dispatch

import (
	"math"
	"testing"

	"github.com/usher-go/usher/ipc"
)

// A worker is sent no more than it can hold by its own account, whatever number it
// writes there.
func TestRoomIsLessWhatIsWithheld(t *testing.T) {
	tests := []struct {
		name           string
		sent, withheld uint64
		want           int
	}{
		{"nothing", 3, 0, 7},
		{"some", 3, 4, 3},
		{"all that is left", 3, 7, 0},
		{"more than there is", 3, 9, 0},
		{"nonsense", 3, math.MaxUint64, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			entry := &ipc.Entry{}
			entry.Sequence.Store(2)
			entry.Received.Store(test.sent)
			entry.Withheld.Store(test.withheld)
			q := &workerQueue{spec: Queue{Capacity: 10, Memory: Memory{Entry: entry}}, ledger: ledger{sent: test.sent, entry: entry, closes: true}}
			if got := q.room(q.weigh()); got != test.want {
				t.Errorf("room for %d, want %d", got, test.want)
			}
		})
	}
}
