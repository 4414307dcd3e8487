package ipc

import (
	"fmt"
	"iter"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"
)

// Counters is the one list of what a worker counts: a field is a row. From it come
// the layout of an Entry and its fields, how a Reading is bounded, what the master
// keeps of workers that have died, what status shows, and the table in PROTOCOL.md
// (go test ./ipc -update). A new counter is a new last row, and the place in the
// worker that counts it; the rows that are there never move. What the master needs for
// its books is here; what is counted for people is in Further, whose rows are read alike.
//
// T is atomic.Uint64 in the shared memory, and uint64 in a Reading. want_bell, which is
// no row, stands in the middle of them: B is what is at its place. The tags are:
//
//	kind   counter      goes up; the master keeps the total of all workers, dead ones included
//	       gauge        goes up and down, or is of this worker alone: gone with it
//	       bookkeeping  no measurement: for master and worker to work together
//	unit   what is counted
//	bound  what it cannot exceed, if the worker tells the truth: see Books
//	max    the number that it cannot exceed; without it 1<<53, if it is a counter
//	help   for one who writes a worker, or reads a metric
//	name   its name, where that is not the field's
//	status "-": the status has a field of its own for it, or does not show it; without
//	       the tag it is among the counters there
//
// Those of Metric say what it is called among metrics. A row is bounded by rows before it alone.
type Counters[T, B any] struct {
	Received T `kind:"counter" status:"-" unit:"connections" bound:"given" help:"connections taken from the queue"`
	Closed   T `kind:"counter" status:"-" unit:"connections" bound:"held" help:"connections closed, added to after close(2)"`
	Sequence T `kind:"bookkeeping" unit:"turns" help:"goes up by one at every turn: odd while your code runs, even while it waits for events. 0: this worker keeps no entry"`
	Thread   T `kind:"bookkeeping" unit:"thread id" max:"4194304" help:"the loop's thread id (gettid(2)), which gets SIGABRT when it hangs; 0: the process gets it"`
	Lost     T `kind:"counter" status:"-" unit:"connections" bound:"newly closed" help:"of those counted in 'closed', moved connections that could not be brought back to life, and any that came without their descriptors"`
	Thawed   T `kind:"counter" status:"-" unit:"connections" bound:"given" help:"moved connections that it tried to bring back to life, those in 'lost' included"`
	Staying  T `kind:"gauge" status:"-" unit:"connections" bound:"open" help:"open connections that cannot move"`
	Pause    T `kind:"gauge" status:"-" unit:"nanoseconds" max:"9223372036854775807" help:"the longest time from freezing to thawing of a connection that moved here, in nanoseconds"`
	Cut      T `kind:"counter" status:"-" unit:"connections" bound:"closed" help:"of those counted in 'closed', or about to be: open ones that the deadline of a drain ended"`
	Withheld T `kind:"gauge" status:"-" unit:"connections" max:"1073741824" help:"how many connections fewer than its 'capacity' it can hold now: what else it has open takes its descriptors"`

	Handshakes        T `kind:"counter" metric:"tls_handshakes" label:"result=completed" about:"TLS handshakes, by what came of them" unit:"connections" bound:"given" help:"TLS handshakes that were completed"`
	Resumed           T `kind:"counter" metric:"tls_resumed" unit:"connections" bound:"given" help:"of those in 'handshakes', the ones that resumed an earlier session"`
	HandshakesRefused T `kind:"counter" metric:"tls_handshakes" label:"result=failed" unit:"connections" bound:"given" help:"TLS handshakes that failed, for whatever reason"`
	ProxyUntrusted    T `kind:"counter" metric:"proxy_refused" label:"reason=untrusted" about:"connections closed for their PROXY header, by what was wrong with it" unit:"connections" bound:"given" help:"connections closed because they came from a source whose PROXY header is not trusted"`
	ProxyMalformed    T `kind:"counter" metric:"proxy_refused" label:"reason=malformed" unit:"connections" bound:"given" help:"connections closed because no valid PROXY header came first"`
	ProxyLate         T `kind:"counter" metric:"proxy_refused" label:"reason=late" unit:"connections" bound:"given" help:"connections closed because their PROXY header did not come in time, or at all"`

	WantBell B `json:"-" kind:"bookkeeping" unit:"flag" writer:"both" help:"the master waits for room"`
}

// bell is want_bell in the shared memory, and noBell its place in a Reading.
type (
	bell struct {
		atomic.Uint32
		_ [4]byte
	}
	noBell struct{ _ uint64 }
)

// bellCell is that place among the rows.
const bellCell = int(unsafe.Offsetof(Reading{}.WantBell) / 8)

// rowCount is how many rows there are, with the place of want_bell.
const rowCount = int(unsafe.Sizeof(Reading{}) / 8)

// CounterKind is what a counter's value means over time.
type CounterKind uint8

// The kinds of a Counter.
const (
	KindCounter     CounterKind = iota // goes up, and its total outlives the worker
	KindGauge                          // is the worker's present value, and gone with it
	KindBookkeeping                    // is no measurement
	KindHistogram                      // how often something took how long; kept like a counter
)

var kinds = [...]string{KindCounter: "counter", KindGauge: "gauge", KindBookkeeping: "bookkeeping", KindHistogram: "histogram"}

// String returns the kind as PROTOCOL.md has it: counter, gauge, bookkeeping or histogram.
func (k CounterKind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Counter is one row of the table: a number in the scoreboard entry, or what lies behind
// the entries (Further): a number there, or a histogram.
type Counter struct {
	Name   string // in PROTOCOL.md and status: lower case, words joined by _
	Unit   string // what is counted
	Help   string // names of other fields stand between single quotes
	Kind   CounterKind
	Offset int  // in bytes from the beginning of the entry, or of the block
	Size   int  // in bytes: 8, or 4 of want_bell, or those of a histogram
	Both   bool // master and worker write it; else the worker alone
	Listed bool // it is among the counters that status lists
	Metric Metric

	bound bound
	max   uint64
	field int // which of a Reading's, or -1: want_bell
}

// Kept reports whether the master keeps the counter's total through a worker's
// death, so that it never goes down.
func (c *Counter) Kept() bool { return c.Kind == KindCounter || c.Kind == KindHistogram }

// Of returns the row's value in a reading; 0 of want_bell, which is in none.
func (c *Counter) Of(r *Reading) uint64 {
	if c.field < 0 {
		return 0
	}
	return r.values()[c.field]
}

// rows is the table, in the order of offsets.
var rows = rowsOf(reflect.TypeFor[Entry]())

// Rows returns every row, in the order of offsets. The caller does not change them.
func Rows() []Counter { return rows }

// rowsOf reads the table off an entry's type. A row that is not whole is a bug.
func rowsOf(entry reflect.Type) (rows []Counter) {
	for _, f := range reflect.VisibleFields(entry) {
		if !f.Anonymous && f.Name != "_" {
			rows = append(rows, newRow(f))
		}
	}
	return rows
}

func newRow(f reflect.StructField) Counter {
	c := Counter{
		Name: f.Tag.Get("name"), Unit: f.Tag.Get("unit"), Help: f.Tag.Get("help"),
		Offset: int(f.Offset), Size: int(f.Type.Size()), Both: f.Tag.Get("writer") == "both", field: int(f.Offset / 8),
	}
	if f.Type == reflect.TypeFor[bell]() {
		c.Size, c.field = int(unsafe.Sizeof(atomic.Uint32{})), -1
	}
	if c.Name == "" {
		c.Name = snakeCase(f.Name)
	}
	c.Listed = c.field >= 0 && f.Tag.Get("status") != "-"
	var err error
	if c.Kind, err = parseKind(f.Tag.Get("kind")); err == nil {
		c.bound, c.max, err = parseBound(f.Tag, c.Kind)
	}
	c.Listed = c.Listed && c.Kind != KindBookkeeping && c.Kind != KindHistogram
	if err == nil {
		c.Metric, err = newMetric(&c, f.Tag)
	}
	if err != nil || c.Unit == "" || c.Help == "" {
		panic(fmt.Sprintf("ipc: row %s: unit %q, help %q, %v", c.Name, c.Unit, c.Help, err))
	}
	return c
}

func parseKind(name string) (CounterKind, error) {
	for k, s := range kinds {
		if s == name {
			return CounterKind(k), nil
		}
	}
	return 0, fmt.Errorf("no kind is called %q", name)
}

// snakeCase is the name that WantBell has outside Go, unless it has another: want_bell.
func snakeCase(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// Reading is the counters of one worker as they were read at one moment: see
// Entry.Load, which returns whatever the worker wrote, and Bound.
type Reading Counters[uint64, noBell]

// All returns every row and its value.
func (r *Reading) All() iter.Seq2[*Counter, uint64] {
	return func(yield func(*Counter, uint64) bool) {
		for i := range rows {
			if c := &rows[i]; c.field >= 0 && !yield(c, r.values()[c.field]) {
				return
			}
		}
	}
}

// AddKept adds a worker's counters to a total: those that are kept when it dies. A total
// does not go beyond the largest number there is, and so not down.
func (r *Reading) AddKept(other *Reading) {
	sums := r.values()
	for i, v := range other.values() {
		v &= limits[i].kept
		sums[i] += min(v, math.MaxUint64-sums[i])
	}
}

// values are the fields by number, as the table counts them.
func (r *Reading) values() *[rowCount]uint64 { return (*[rowCount]uint64)(unsafe.Pointer(r)) }

// cells are an entry's, likewise.
func (e *Entry) cells() *[rowCount]atomic.Uint64 {
	return (*[rowCount]atomic.Uint64)(unsafe.Pointer(&e.Counters))
}
