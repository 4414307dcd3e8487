package worker

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestFrozenIsWhatWasFrozen(t *testing.T) {
	bytes := rapid.SliceOfN(rapid.Byte(), 0, 100)
	rapid.Check(t, func(t *rapid.T) {
		want := frozen{
			flags:        frozenFlags(rapid.Uint16().Draw(t, "flags")),
			idleMS:       rapid.Uint32().Draw(t, "idle"),
			quiet:        time.Duration(rapid.Int64().Draw(t, "quiet")),
			read:         time.Duration(rapid.Int64().Draw(t, "read")),
			write:        time.Duration(rapid.Int64().Draw(t, "write")),
			version:      rapid.StringN(0, 50, maxStateVersion).Draw(t, "version"),
			in:           bytes.Draw(t, "in"),
			out:          bytes.Draw(t, "out"),
			sessionState: bytes.Draw(t, "state"),
			wrapped:      rapid.Bool().Draw(t, "wrapped"),
		}
		if want.wrapped {
			want.raw, want.transport = bytes.Draw(t, "raw"), bytes.Draw(t, "transport")
		}
		var got frozen
		packed := want.append(nil)
		if len(packed) != want.size() {
			t.Fatalf("%d bytes, want %d", len(packed), want.size())
		}
		if err := got.decode(packed); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(frozen{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

// What a transport has left is bounded, also of one who says otherwise.
func TestFrozenRawIsBounded(t *testing.T) {
	f := frozen{wrapped: true, raw: make([]byte, maxUnit)}
	var got frozen
	if err := got.decode(f.append(nil)); err != nil {
		t.Error(err)
	}
	f.raw = append(f.raw, 0)
	if err := got.decode(f.append(nil)); !errors.Is(err, errFrozen) {
		t.Errorf("%d bytes: %v", len(f.raw), err)
	}
}

func FuzzFrozen(f *testing.F) {
	f.Add((&frozen{version: "v1", in: []byte("in"), out: []byte("out"), sessionState: []byte("state")}).append(nil))
	f.Add((&frozen{version: "v1", in: []byte("in"), wrapped: true, raw: []byte("raw"), transport: []byte("keys"), sessionState: []byte("state")}).append(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var got frozen
		err := got.decode(b)
		if err != nil {
			if !errors.Is(err, errFrozen) {
				t.Errorf("error %v", err)
			}
			return
		}
		if again := got.append(nil); string(again) != string(b) {
			t.Errorf("%x decodes to what encodes as %x", b, again)
		}
	})
}

// The bytes of either format, as another program has written them, or will read them.
func TestFrozenBytes(t *testing.T) {
	plain := frozen{
		flags: frozenEOF | frozenPaused | frozenOwnIdle, idleMS: 0x01020304, quiet: 5, read: frozenNever, write: -1, at: 6,
		version: "v7", in: []byte("in"), out: []byte("out"), sessionState: []byte("state"),
	}
	wrapped := plain
	wrapped.wrapped, wrapped.raw, wrapped.transport = true, []byte("raw"), []byte("keys")
	const numbers = "04030201" + "0500000000000000" + "ffffffffffffff7f" + "ffffffffffffffff" + "02000000" + "03000000" + "0600000000000000"
	tests := []struct {
		name string
		f    frozen
		want string
	}{
		{"plain", plain, "01" + "02" + "8900" + numbers + hex.EncodeToString([]byte("v7inoutstate"))},
		{"with a transport", wrapped, "02" + "02" + "8900" + numbers + "03000000" + "04000000" + hex.EncodeToString([]byte("v7inoutrawkeysstate"))},
	}
	for _, test := range tests {
		if got := hex.EncodeToString(test.f.append(nil)); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

// Each flag stands for one fact, and no two for the same.
func TestFrozenStates(t *testing.T) {
	var flags frozenFlags
	var facts state
	for _, pair := range frozenStates {
		if flags&pair.flag != 0 || facts&pair.fact != 0 {
			t.Errorf("flag %b or fact %b stands there twice", pair.flag, pair.fact)
		}
		flags |= pair.flag
		facts |= pair.fact
	}
	if facts&(phaseMask|watchMask|finMask) != 0 || flags&(frozenFINDue|frozenFINSent) != 0 {
		t.Errorf("flags %b, facts %b: what is no set is among them", flags, facts)
	}
}

// What the flags say of a connection comes out of them again, whatever it was before.
func TestStateFreezesAndThaws(t *testing.T) {
	for flags := range frozenFlags(1 << 9) {
		want := flags
		if flags&frozenFINSent != 0 {
			want |= frozenFINDue // there is no FIN that was not asked for
		}
		for _, before := range []state{newState(phaseOpen, 0), newState(phaseOpen, traitMoved) | state(holdAny)} {
			s := before
			s.setFin(finSent)
			s.thaw(flags)
			if got := s.freeze(); got != want {
				t.Errorf("flags %b thaw to what freezes as %b", flags, got)
			}
			if s.phase() != phaseOpen || s.is(traitMoved) != before.is(traitMoved) || s.held(holdWork) != before.held(holdWork) {
				t.Errorf("flags %b changed %b to %b", flags, before, s)
			}
		}
	}
}
