package ipc

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// The layout is public, and version 1 of the protocol: what a row is called and
// where it is never changes. New ones follow.
func TestEntryLayout(t *testing.T) {
	fixed := []struct {
		name   string
		offset int
		size   int
	}{
		{"received", 0, 8}, {"closed", 8, 8}, {"sequence", 16, 8}, {"thread", 24, 8}, {"lost", 32, 8},
		{"thawed", 40, 8}, {"staying", 48, 8}, {"pause", 56, 8}, {"cut", 64, 8}, {"withheld", 72, 8},
		{"handshakes", 80, 8}, {"resumed", 88, 8}, {"handshakes_refused", 96, 8},
		{"proxy_untrusted", 104, 8}, {"proxy_malformed", 112, 8}, {"proxy_late", 120, 8}, {"want_bell", 128, 4},
	}
	for i, want := range fixed {
		if got := Rows()[i]; got.Name != want.name || got.Offset != want.offset || got.Size != want.size {
			t.Errorf("row %d: %s at %d, %d bytes; want %+v", i, got.Name, got.Offset, got.Size, want)
		}
	}
	for _, row := range Rows() {
		if row.Both != (row.Name == "want_bell") || (row.field < 0) != row.Both {
			t.Errorf("want_bell alone is written by both, and is in no reading: %+v", row)
		}
	}
	if size := unsafe.Sizeof(Entry{}); EntrySize != 256 || size != 256 {
		t.Errorf("an entry has %d bytes, and takes %d; want 256", EntrySize, size)
	}
}

// A row is at the offset that it says, and the fields of an entry and of a reading
// are the same ones.
func TestEveryCounterIsRead(t *testing.T) {
	e := new(Entry)
	next := 0
	for _, c := range Rows() {
		if c.Offset%c.Size != 0 || c.Offset < next {
			t.Errorf("%s is at %d", c.Name, c.Offset)
		}
		next = c.Offset + c.Size
		if c.field < 0 {
			continue
		}
		t.Logf("row %s", c.Name)
		cell := &e.cells()[c.field]
		cell.Store(uint64(c.Offset) + 1)
		if got := reflect.ValueOf(e).Elem().Field(0).Field(c.field).Addr().Interface().(*atomic.Uint64); got != cell {
			t.Errorf("%s: its field is elsewhere", c.Name)
		}
	}
	reading := e.Load()
	for c, v := range reading.All() {
		if v != uint64(c.Offset)+1 {
			t.Errorf("%s: read %d, want %d", c.Name, v, c.Offset+1)
		}
	}
	if reading.Closed != 9 || reading.Withheld != 73 {
		t.Errorf("%+v", reading)
	}
	e.Reset()
	if reading := e.Load(); reading != (Reading{}) {
		t.Errorf("reset: %+v", reading)
	}
}

// Whatever stands in any row, what is made of it is within its limit, and a kept one
// does not go down.
func TestEveryCounterIsBounded(t *testing.T) {
	before := Reading{Received: 7, Closed: 4, Lost: 1, Thawed: 2, Cut: 1}
	for _, lie := range []uint64{0, 1, 5, 20, 1 << 30, 1<<30 + 1, math.MaxInt64, 1 << 63, math.MaxUint64} {
		for _, row := range Rows() {
			if row.field < 0 {
				continue
			}
			t.Logf("row %s", row.Name)
			r := before
			r.values()[row.field] = lie
			checkBounded(t, fmt.Sprintf("%s is %d", row.Name, lie), r, Books{Given: 10, Back: 3, Before: &before})
		}
		var all Reading
		for i := range all.values() {
			all.values()[i] = lie
		}
		checkBounded(t, fmt.Sprintf("all are %d", lie), all, Books{Given: 10, Back: 3, Before: &before})
	}
}

// checkBounded bounds a reading, and says what is wrong with the result.
func checkBounded(t interface{ Errorf(string, ...any) }, name string, r Reading, b Books) Reading {
	written := r
	r.Bound(b)
	held := b.Given - b.Back
	most := map[bound]uint64{
		boundNone: math.MaxUint64, boundGiven: b.Given, boundHeld: held, boundClosed: r.Closed,
		boundNewlyClosed: r.Closed - (b.Before.Closed - b.Before.Lost), boundOpen: held - r.Closed,
	}
	for c, v := range r.All() {
		asWritten, floor := written.values()[c.field], uint64(0)
		if c.Kept() {
			floor = b.Before.values()[c.field]
		}
		limit := min(most[c.bound], c.max)
		if v < floor || v > max(limit, floor) {
			t.Errorf("%s: %s becomes %d, want %d to %d", name, c.Name, v, floor, limit)
		}
		if c.bound != boundOpen && asWritten >= floor && asWritten <= limit && v != asWritten {
			t.Errorf("%s: %s can be true, and becomes %d", name, c.Name, v)
		}
	}
	if r.Closed > held || r.Lost > r.Closed || r.Cut > r.Closed || r.Closed-r.Lost < b.Before.Closed-b.Before.Lost {
		t.Errorf("%s: %+v does not add up, %+v", name, r, b)
	}
	return r
}

// However a worker lies, and whatever it is given and gives back meanwhile, each of
// its readings adds up with the one before.
func TestReadingsOfALiar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 20), rapid.Just[uint64](math.MaxUint64))
		var given, back uint64
		var before, r Reading
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			given += rapid.Uint64Range(0, 5).Draw(t, "given")
			back += rapid.Uint64Range(0, given-back-before.Closed).Draw(t, "back")
			for i := range r.values() {
				r.values()[i] = value.Draw(t, rows[i].Name)
			}
			before = checkBounded(t, "a liar", r, Books{Given: given, Back: back, Before: &before})
		}
	})
}

// The total of workers that are gone has each row that is kept, and no other.
func TestEveryKeptCounterIsAdded(t *testing.T) {
	var total, worker Reading
	for i := range worker.values() {
		worker.values()[i] = uint64(i) + 1
	}
	total.AddKept(&worker)
	total.AddKept(&worker)
	kept := 0
	for c, v := range total.All() {
		t.Logf("row %s", c.Name)
		want := uint64(0)
		if c.Kept() {
			kept++
			want = 2 * (uint64(c.field) + 1)
		}
		if v != want {
			t.Errorf("%s, a %v: %d, want %d", c.Name, c.Kind, v, want)
		}
	}
	if kept == 0 {
		t.Error("nothing is kept")
	}
	worker.Received = math.MaxUint64
	total.AddKept(&worker)
	if total.Received != math.MaxUint64 {
		t.Errorf("the total goes down to %d", total.Received)
	}
}

// protocolTable is a table in PROTOCOL.md.
func protocolTable(rows []Counter) string {
	var b strings.Builder
	b.WriteString("| offset | type | field | written by | |\n|---|---|---|---|---|\n")
	for _, c := range rows {
		writer, kind := "worker", fmt.Sprintf("u%d", 8*c.Size)
		if c.Both {
			writer = "both"
		}
		if c.Kind == KindHistogram {
			kind = fmt.Sprintf("histogram, %d × u64", c.Size/8)
		}
		help := regexp.MustCompile(`'(\w+)'`).ReplaceAllString(c.Help, "`$1`")
		fmt.Fprintf(&b, "| %d | %s | `%s` | %s | %s |\n", c.Offset, kind, c.Name, writer, help)
	}
	return b.String()
}

// The tables in PROTOCOL.md say what the code does.
func TestProtocolTable(t *testing.T) {
	for mark, rows := range map[string][]Counter{"counters": Rows(), "further": FurtherRows()} {
		page, err := os.ReadFile("PROTOCOL.md")
		if err != nil {
			t.Fatal(err)
		}
		begin := regexp.MustCompile(`(?m)^<!-- ` + mark + `: .*-->\n`).FindIndex(page)
		end := bytes.Index(page, []byte("<!-- /"+mark+" -->"))
		if begin == nil || end < begin[1] {
			t.Fatalf("PROTOCOL.md has no place for the table of %s", mark)
		}
		want := protocolTable(rows)
		if *update {
			page = append(append(append([]byte(nil), page[:begin[1]]...), want...), page[end:]...)
			if err := os.WriteFile("PROTOCOL.md", page, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if got := string(page[begin[1]:end]); got != want {
			t.Errorf("go test ./ipc -run TestProtocolTable -update writes it; it has\n%swant\n%s", got, want)
		}
	}
}

// A row that does not say everything is a bug, found when the program starts.
func TestRowsThatAreNotWhole(t *testing.T) {
	for name, entry := range map[string]any{
		"no kind": struct {
			A atomic.Uint64 `unit:"peers" help:"some"`
		}{},
		"an unknown kind": struct {
			A atomic.Uint64 `kind:"sum" unit:"peers" help:"some"`
		}{},
		"no unit": struct {
			A atomic.Uint64 `kind:"counter" help:"some"`
		}{},
		"no help": struct {
			A atomic.Uint64 `kind:"counter" unit:"peers"`
		}{},
		"an unknown bound": struct {
			A atomic.Uint64 `kind:"counter" unit:"peers" help:"some" bound:"sky"`
		}{},
		"a maximum that is none": struct {
			A atomic.Uint64 `kind:"counter" unit:"peers" help:"some" max:"-1"`
		}{},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			rowsOf(reflect.TypeOf(entry))
		}()
	}
}
