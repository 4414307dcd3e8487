package tlsrecord

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

var (
	sentUpdate = part{22, "\x18\x00\x00\x01\x00"}
	sentAsk    = part{22, "\x18\x00\x00\x01\x01"}
	sentFatal  = part{21, "\x02\x50"} // internal_error
)

// A key that has protected as much as it may is followed by another one in TLS 1.3, and
// ends the connection in TLS 1.2.
func TestWriteLimit(t *testing.T) {
	eachLayer(t, func(t *testing.T, l *Layer) {
		s, p := &suites[l.suite], peerOf(t, l)
		if s.limit == limitNo {
			l.write.blocks = math.MaxUint64 / 2
			if got, want := p.receive(l.Seal(nil, []byte("a"))), []part{{23, "a"}}; !slices.Equal(got, want) {
				t.Errorf("without a limit %v is sent", got)
			}
			return
		}
		l.write.blocks = s.limit - 1
		first := l.Seal(nil, []byte("a")) // which reaches it
		second := l.Seal(nil, []byte("b"))
		want := []part{{23, "a"}, sentUpdate, {23, "b"}}
		if !s.tls13 {
			want = []part{{23, "a"}, sentFatal}
		}
		if got := p.receive(slices.Concat(first, second)); !slices.Equal(got, want) {
			t.Errorf("sent are %v, not %v", got, want)
		}
		if s.tls13 {
			if l.Err() != nil || l.write.blocks > 100 || l.write.seq != 1 {
				t.Errorf("%v after an update; the new key's count is %d", l.Err(), l.write.blocks)
			}
			return
		}
		checkFailed(t, l, faultKeySpent)
	})
}

// Inside one call the limit is met as well.
func TestWriteLimitInside(t *testing.T) {
	for i := range suites {
		l := layerOf(t, Server, suites[i].id, 0, 0)
		p := peerOf(t, l)
		if suites[i].limit == limitNo {
			continue
		}
		l.write.blocks = suites[i].limit - 1025 // less than a record
		data := numbered(0, 3*maxPlain)
		parts := p.receive(l.Seal(nil, data))
		want := []part{{23, string(data[:maxPlain])}, sentUpdate, {23, string(data[maxPlain : 2*maxPlain])}, {23, string(data[2*maxPlain:])}}
		if !suites[i].tls13 {
			want = []part{{23, string(data[:maxPlain])}, sentFatal}
		}
		if !slices.Equal(parts, want) {
			t.Errorf("suite %#04x: %d records", suites[i].id, len(parts))
		}
	}
}

// A key that has come to its limit exactly protects no more.
func TestWriteLimitReached(t *testing.T) {
	l := layerOf(t, Server, suites[0].id, 0, 0)
	p := peerOf(t, l)
	l.write.blocks = suites[0].limit
	if got, want := p.receive(l.Seal(nil, []byte("a"))), []part{sentUpdate, {23, "a"}}; !slices.Equal(got, want) {
		t.Errorf("sent are %v, not %v", got, want)
	}
}

// Each record counts for the blocks of its data and one more for its tag, at least.
func TestBlocksAreCounted(t *testing.T) {
	eachLayer(t, func(t *testing.T, l *Layer) {
		p := peerOf(t, l)
		for n := range 100 {
			n++
			least := uint64((n+15)/16) + 1
			read, written := l.read.blocks, l.write.blocks
			l.Seal(nil, make([]byte, n))
			l.Open(p.data(strings.Repeat("x", n)))
			if r, w := l.read.blocks-read, l.write.blocks-written; r < least || w < least || r > least+2 || w > least+2 {
				t.Fatalf("%d bytes count as %d blocks read, and %d written", n, r, w)
			}
		}
	})
}

// The limit is that of the RFC: 2^24.5 full records, and not much less.
func TestLimitInRecords(t *testing.T) {
	l := layerOf(t, Server, suites[0].id, 0, 0)
	l.Seal(nil, make([]byte, maxPlain))
	records := float64(suites[0].limit) / float64(l.write.blocks)
	if most := math.Exp2(24.5); records > most || records < most/2 {
		t.Errorf("the limit is %.0f full records, and the RFC's %.0f", records, most)
	}
}

// The peer's key has the limit, too: TLS 1.3 asks for another one, once, with what is sent
// next; TLS 1.2 ends.
func TestReadLimit(t *testing.T) {
	eachLayer(t, func(t *testing.T, l *Layer) {
		s, p := &suites[l.suite], peerOf(t, l)
		if s.limit == limitNo {
			return
		}
		l.read.blocks = s.limit - 1
		if o := l.Open(p.data("a")); string(o.Plain) != "a" || o.Err != nil {
			t.Fatalf("at the limit: %q, %v", o.Plain, o.Err)
		}
		o := l.Open(p.data("b"))
		if !s.tls13 {
			if got := p.receive(o.Reply); !errors.Is(o.Err, faultKeySpent) || !slices.Equal(got, []part{sentFatal}) {
				t.Errorf("beyond the limit: %v, and %v is sent", o.Err, got)
			}
			checkFailed(t, l, faultKeySpent)
			return
		}
		if string(o.Plain) != "b" || o.Err != nil {
			t.Fatalf("beyond the limit: %q, %v", o.Plain, o.Err)
		}
		thawed, err := Thaw(l.Freeze(nil))
		if err != nil {
			t.Fatal(err)
		}
		sealed := slices.Concat(thawed.Seal(nil, []byte("x")), thawed.Seal(nil, []byte("y")))
		if got, want := p.receive(sealed), []part{sentAsk, {23, "x"}, {23, "y"}}; !slices.Equal(got, want) {
			t.Errorf("sent are %v, not %v", got, want)
		}
		if o := thawed.Open(slices.Concat(p.update(0), p.data("c"))); string(o.Plain) != "c" || thawed.read.blocks > 100 {
			t.Errorf("after the update: %q, %v", o.Plain, o.Err)
		}
	})
}

// An update of the peer's own makes it needless to ask, and a request goes before.
func TestReadLimitAndAnUpdate(t *testing.T) {
	for _, test := range []struct {
		request byte
		want    []part
	}{
		{updateNotRequested, []part{{23, "x"}}},
		{updateRequested, []part{sentUpdate, {23, "x"}}},
	} {
		l := layerOf(t, Server, suites[0].id, 0, 0)
		p := peerOf(t, l)
		l.read.blocks = suites[0].limit - 1
		if o := l.Open(slices.Concat(p.data("a"), p.update(test.request))); o.Err != nil {
			t.Fatal(o.Err)
		}
		if got := p.receive(l.Seal(nil, []byte("x"))); !slices.Equal(got, test.want) {
			t.Errorf("after an update with request %d: %v is sent", test.request, got)
		}
	}
}

// The last sequence number is not used, in either direction: TLS 1.3 updates before.
func TestSequenceEnd(t *testing.T) {
	for i := range suites {
		s := &suites[i]
		l := layerOf(t, Server, s.id, 0, math.MaxUint64-2)
		p := peerOf(t, l)
		var sealed []byte
		for _, text := range []string{"a", "b", "c"} {
			sealed = l.Seal(sealed, []byte(text))
		}
		want := []part{{23, "a"}, sentUpdate, {23, "b"}, {23, "c"}}
		if !s.tls13 { // and there is no number for an alert either
			want = []part{{23, "a"}, {23, "b"}}
		}
		if got := p.receive(sealed); !slices.Equal(got, want) {
			t.Errorf("suite %#04x: sent are %v, not %v", s.id, got, want)
		}
		if !s.tls13 {
			checkFailed(t, l, faultSequence)
		}

		l = layerOf(t, Server, s.id, math.MaxUint64-1, 0)
		p = peerOf(t, l)
		if o := l.Open(p.data("a")); string(o.Plain) != "a" || o.Err != nil {
			t.Errorf("suite %#04x: the number before the last gives %q, %v", s.id, o.Plain, o.Err)
		}
		o := l.Open(p.data("b"))
		if got := p.receive(o.Reply); !errors.Is(o.Err, faultSequence) || len(o.Plain) > 0 || !slices.Equal(got, []part{sentFatal}) {
			t.Errorf("suite %#04x: the last number gives %q, %v, and %v is sent", s.id, o.Plain, o.Err, got)
		}

		l = layerOf(t, Server, s.id, 0, math.MaxUint64)
		if sealed := l.Seal(nil, []byte("a")); len(sealed) > 0 || !errors.Is(l.Err(), faultSequence) {
			t.Errorf("suite %#04x: with no number left %d bytes are sealed, %v", s.id, len(sealed), l.Err())
		}
		l = layerOf(t, Server, s.id, 0, math.MaxUint64)
		if sealed := l.CloseNotify(nil); len(sealed) > 0 || len(l.CloseNotify(nil)) > 0 {
			t.Errorf("suite %#04x: with no number left close_notify has %d bytes", s.id, len(sealed))
		}
	}
}
