package ipc

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// What a row is called and where it is never changes. New ones follow.
func TestFurtherLayout(t *testing.T) {
	fixed := []struct {
		name   string
		offset int
		size   int
	}{
		{"kept", 0, 8}, {"bytes_received", 8, 8}, {"bytes_sent", 16, 8}, {"reads", 24, 8}, {"turns", 32, 8}, {"longest_turn", 40, 8},
		{"posts", 48, 8}, {"buffered_bytes", 56, 8}, {"http_requests_1xx", 64, 8}, {"http_requests_2xx", 72, 8},
		{"http_requests_3xx", 80, 8}, {"http_requests_4xx", 88, 8}, {"http_requests_5xx", 96, 8},
		{"queue_wait", 104, 160}, {"move_pause", 264, 160}, {"loop_lag", 424, 160}, {"http_request", 584, 160},
	}
	rows := FurtherRows()
	for i, want := range fixed {
		if got := rows[i]; got.Name != want.name || got.Offset != want.offset || got.Size != want.size {
			t.Errorf("row %d: %s at %d, %d bytes; want %+v", i, got.Name, got.Offset, got.Size, want)
		}
	}
	next := 0
	for _, row := range rows {
		if row.Offset != next {
			t.Errorf("%s is at %d, want %d", row.Name, row.Offset, next)
		}
		next += row.Size
	}
	if next > FurtherSize {
		t.Errorf("%d bytes do not fit", next)
	}
}

// Whatever stands anywhere, what is made of it is within its limit, none that is kept goes
// down, and what a worker does not keep is not there.
func TestEveryFurtherCounterIsBounded(t *testing.T) {
	for _, row := range FurtherRows() {
		t.Logf("row %s", row.Name)
	}
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 1000), rapid.Just[uint64](math.MaxUint64))
		block := new(FurtherCounters)
		var before, total FurtherReading
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			for i := range block.cells() {
				block.cells()[i].Store(value.Draw(t, "value"))
			}
			now := block.Load()
			written := now
			now.Bound(&before)
			for _, row := range FurtherRows()[1:] {
				for i := row.field; i < row.field+row.Size/8; i++ {
					v, floor := now.values()[i], uint64(0)
					if row.Kept() {
						floor = before.values()[i]
					}
					switch most := furtherLimits[i].max; {
					case v < floor || v > max(most, floor):
						t.Fatalf("%s: %d becomes %d, was %d", row.Name, written.values()[i], v, floor)
					case !now.Has(&row) && v != 0:
						t.Fatalf("%s is not kept, and %d", row.Name, v)
					}
				}
			}
			if now.Kept > uint64(furtherCells)*8 || now.Kept < before.Kept {
				t.Fatalf("kept %d becomes %d", written.Kept, now.Kept)
			}
			sum := total
			sum.AddKept(&now)
			for i, v := range sum.values() {
				if v < total.values()[i] {
					t.Fatalf("the total of number %d goes down to %d", i, v)
				}
			}
			before, total = now, sum
		}
	})
}

// A reading has the rows that end within what the worker keeps, by their names; and a total
// those that any of the workers has.
func TestAbsentIsNotZero(t *testing.T) {
	rowsOf := func(r *FurtherReading) (names []string) {
		for row := range r.All() {
			names = append(names, row.Name)
		}
		for i := range furtherRows {
			if r.Histogram(&furtherRows[i]) != nil {
				names = append(names, furtherRows[i].Name)
			}
		}
		return names
	}
	var none, some, all FurtherReading
	some.Kept, some.BytesReceived = 24, 5
	whole := new(FurtherCounters)
	whole.Keep()
	all = whole.Load()
	for _, test := range []struct {
		name    string
		reading FurtherReading
		want    int
	}{{"none", none, 0}, {"some", some, 3}, {"all", all, len(FurtherRows())}} {
		test.reading.Bound(new(FurtherReading))
		if got := rowsOf(&test.reading); len(got) != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	total := none
	total.AddKept(&some)
	total.AddKept(&none)
	if got := strings.Join(rowsOf(&total), " "); got != "kept bytes_received bytes_sent" || total.BytesReceived != 5 {
		t.Errorf("the total has %s: %+v", got, total)
	}
}

// A histogram has each duration in one bucket, and its sum.
func TestObserve(t *testing.T) {
	block := new(FurtherCounters)
	block.Keep()
	for _, nanos := range []int64{-5, 0, 10_000, 10_001, 1e9, 1e10, 1e10 + 1, math.MaxInt64} {
		Observe(&block.MovePause, nanos)
	}
	r := block.Load()
	h := r.MovePause
	want := map[int]uint64{0: 3, 1: 1, 14: 1, 17: 1, 18: 2}
	for i, n := range h.Buckets {
		if n != want[i] {
			t.Errorf("bucket %d has %d, want %d", i, n, want[i])
		}
	}
	if Count(&h) != 8 {
		t.Errorf("%d in all", Count(&h))
	}
	var seen *Histogram[uint64]
	for i := range furtherRows {
		if furtherRows[i].Name == "move_pause" {
			seen = r.Histogram(&furtherRows[i])
		}
	}
	if seen == nil || *seen != h {
		t.Errorf("by its row: %+v, want %+v", seen, h)
	}
}

// The bounds go up, the page has them, and they are what they were.
func TestDurationBounds(t *testing.T) {
	page, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	last := uint64(0)
	var text []string
	for i, bound := range DurationBounds {
		if bound <= last || bucket(bound) != i || bucket(bound+1) != i+1 {
			t.Errorf("bound %d is %d", i, bound)
		}
		last = bound
		text = append(text, fmt.Sprint(bound))
	}
	if !strings.Contains(string(page), strings.Join(text, ", ")+".") {
		t.Error("PROTOCOL.md has other bounds")
	}
	if durationBounds != 18 || last != 10_000_000_000 {
		t.Errorf("%d bounds, up to %d", durationBounds, last)
	}
}

// The block is behind the entries of a board that was made for it, and of no other; a place
// that is not in the memory is an error.
func TestPlace(t *testing.T) {
	s, places, err := NewScoreboardFor(3)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	place := places.Further
	other := again(t, s)
	mine, err := s.Further(place)
	if err != nil || mine == nil {
		t.Fatal(mine, err)
	}
	theirs, err := other.Further(place)
	if err != nil || theirs == nil {
		t.Fatal(theirs, err)
	}
	mine.Turns.Store(7)
	for i := range 3 {
		if r := other.Entry(i).Load(); r != (Reading{}) {
			t.Errorf("entry %d: %+v", i, r)
		}
	}
	if theirs.Turns.Load() != 7 {
		t.Error("the other mapping has another block")
	}
	size := int64(len(s.memory))
	for _, test := range []struct {
		name  string
		place Place
		fails bool
	}{
		{"nowhere", Place{}, false},
		{"too short for this version", Place{Offset: place.Offset, Length: int64(unsafe.Sizeof(FurtherCounters{})) - 8}, false},
		{"before the beginning", Place{Offset: -8, Length: 4096}, true},
		{"negative", Place{Offset: 0, Length: -8}, true},
		{"not aligned", Place{Offset: 4, Length: 800}, true},
		{"beyond the end", Place{Offset: size, Length: 8}, true},
		{"far beyond it", Place{Offset: math.MaxInt64 &^ 7, Length: math.MaxInt64}, true},
		{"over the end", Place{Offset: place.Offset, Length: size - place.Offset + 8}, true},
	} {
		block, err := s.Further(test.place)
		if block != nil || (err != nil) != test.fails {
			t.Errorf("%s: %v, %v", test.name, block, err)
		}
	}
	if _, _, err := NewScoreboardFor(0); err == nil {
		t.Error("a board without entries")
	}
}
