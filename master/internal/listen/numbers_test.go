package listen

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/usher-go/usher/ipc"
	"pgregory.net/rapid"
)

// named returns transports that differ by the names of their certificates.
func named(names ...int) (transports []Transport) {
	for _, name := range names {
		transports = append(transports, Transport{TLS: true, Cert: fmt.Sprint(name)})
	}
	return transports
}

// Whatever listeners come and go, each transport has a number of its own, which it keeps
// while a listener has it; and one without a listener loses its number only when there is
// no other one left, the longest unused first.
func TestNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var n Numbers
		lastUsed := make(map[Transport]int)
		for now := 1; now <= 5; now++ {
			first, count := rapid.IntRange(0, 400).Draw(t, "first"), rapid.SampledFrom([]int{0, 1, 2, 100, 200, MaxTransports}).Draw(t, "count")
			var transports []Transport
			for i := range count {
				transports = append(transports, named(first + i)[0])
			}
			before := n.Rows
			if err := n.Use(append(transports, Transport{})); err != nil {
				t.Fatal(err)
			}
			if err := n.Check(); err != nil || len(n.Rows) > MaxTransports {
				t.Fatalf("%d rows: %v", len(n.Rows), err)
			}
			for _, transport := range transports {
				lastUsed[transport] = now
			}
			kept := make(map[Transport]uint8)
			oldest := now // use of those without a listener that have numbers
			for _, row := range n.Rows {
				kept[row.Transport] = row.Number
				oldest = min(oldest, lastUsed[row.Transport])
			}
			for _, transport := range transports {
				if kept[transport] == 0 {
					t.Fatal("a listener's transport has no number")
				}
			}
			for _, row := range before {
				switch used := lastUsed[row.Transport]; {
				case kept[row.Transport] == row.Number:
				case used == now:
					t.Fatalf("a listener's transport had number %d", row.Number)
				case used > oldest:
					t.Fatalf("number %d went to another transport, and one without a listener for longer kept its own", row.Number)
				case len(n.Rows) < MaxTransports:
					t.Fatalf("number %d went to another transport, and there are only %d", row.Number, len(n.Rows))
				}
			}
		}
	})
}

// A number goes from one transport to the next, and round beyond the last one.
func TestNumbersGoRound(t *testing.T) {
	var n Numbers
	for name := range 2 * MaxTransports {
		if err := n.Use(named(name)); err != nil {
			t.Fatal(err)
		}
		if got, want := n.Of(named(name)[0]), uint8(name%MaxTransports+1); got != want {
			t.Fatalf("transport %d has number %d, want %d", name, got, want)
		}
	}
	if err := n.Use(named(2*MaxTransports - 9)); err != nil || n.Of(named(2*MaxTransports - 9)[0]) != 247 {
		t.Errorf("one that comes again has number %d, %v; want 247, as before", n.Of(named(2*MaxTransports - 9)[0]), err)
	}
}

// As many as a byte tells apart can be numbered, and no more; the error changes nothing.
func TestTooManyNumbers(t *testing.T) {
	var names []int
	for name := range MaxTransports + 1 {
		names = append(names, name)
	}
	var n Numbers
	if err := n.Use(named(names[:MaxTransports]...)); err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(n.Rows)
	if err := n.Use(named(names...)); err == nil || !slices.Equal(n.Rows, before) {
		t.Errorf("256 transports: %v", err)
	}
	if err := n.Use(named(names[1:]...)); err != nil || n.Of(named(MaxTransports)[0]) != 1 {
		t.Errorf("the 256th after the first was given up: %v", err)
	}
}

// A worker is told of its own listeners' transports first, and then of the others.
func TestNumbersAreDescribed(t *testing.T) {
	first, err := ParseAddress("tls://:1?cert=a.example&proxy=on&trust=10.0.0.0/8,::/0")
	if err != nil {
		t.Fatal(err)
	}
	var n Numbers
	if err := n.Use(append(named(1, 2), first.Transport)); err != nil {
		t.Fatal(err)
	}
	want := []ipc.Transport{
		{Number: 3, TLS: true, Cert: "a.example", Proxy: true, Trust: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::/0")}},
		{Number: 1, TLS: true, Cert: "1"}, {Number: 2, TLS: true, Cert: "2"},
	}
	if got := n.Describe([]Transport{first.Transport}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n.Of(Transport{}) != 0 {
		t.Error("plain has a number")
	}
}

func TestNumbersRefused(t *testing.T) {
	one, two := named(1)[0], named(2)[0]
	for name, rows := range map[string][]Numbered{
		"number 0":          {{0, one}},
		"a number left out": {{2, one}},
		"plain":             {{1, Transport{}}},
		"a number twice":    {{1, one}, {1, two}},
		"a transport twice": {{1, one}, {2, one}},
	} {
		if (&Numbers{Rows: rows}).Check() == nil {
			t.Errorf("%s: taken for good", name)
		}
	}
	if err := (&Numbers{}).Check(); err != nil {
		t.Errorf("none: %v", err)
	}
}
