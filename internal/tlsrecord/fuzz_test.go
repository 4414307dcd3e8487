package tlsrecord

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"testing"
)

func sortedNames(layers map[string]*Layer) []string { return slices.Sorted(maps.Keys(layers)) }

// fuzzLayer returns a layer of the suite and role that a byte picks.
func fuzzLayer(t testing.TB, pick byte) *Layer {
	return layerOf(t, Role(pick&1), suites[int(pick>>1)%len(suites)].id, 0, 0)
}

// FuzzOpen gives a layer whatever may come from a stranger, between records that are
// good. It must not panic, give what was not sent, or go on after a failure.
func FuzzOpen(f *testing.F) {
	for i, seed := range []string{"", "\x17\x03\x03\x00\x00", "\x17\x03\x03\x41\x00", "\x15\x03\x03\x00\x02\x01\x00", "\x16\x03\x03\x00\x04\x01\x00\x00\x00", "GET / HTTP/1.1\r\n"} {
		f.Add(byte(i), byte(3*i), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, pick, step byte, junk []byte) {
		l := fuzzLayer(t, pick)
		p := peerOf(t, l)
		plain, o := openAll(t, l, slices.Concat(p.data("good"), junk), int(step))
		if string(plain) != "good" || o.End {
			t.Fatalf("junk gives %q, %t", plain, o.End)
		}
		if o.Err == nil {
			if len(junk) >= headerLen && len(junk) >= headerLen+int(binary.BigEndian.Uint16(junk[3:])) {
				t.Fatal("a whole record of junk is taken")
			}
			return
		}
		checkFailed(t, l, l.fault)
	})
}

// FuzzContent gives a layer what a peer may send that has the keys, but keeps no rules:
// records of all types and contents. Beside it, a second layer gets the same in other
// pieces, and is frozen and thawed between them: both must see the same.
func FuzzContent(f *testing.F) {
	for i, seed := range []string{
		"\x17\x00\x05hello", "\x16\x00\x05\x18\x00\x00\x01\x01\x17\x00\x01a", "\x16\x00\x03\x18\x00\x00\x16\x00\x02\x01\x00",
		"\x15\x00\x02\x01\x00", "\x15\x00\x02\x02\x28", "\x15\x00\x02\x01\x5a", "\x17\x00\x00\x17\x00\x00", "\x16\x00\x04\x00\x00\x00\x00",
		"\x16\x00\x20\x04\x00\x00\x30", "\x16\x01\x00\x01\x00\x00\xfc", "\x14\x00\x01\x01", "\x17\xff\xff",
	} {
		for pick := range byte(4) {
			f.Add(pick*9, byte(5*i+1), []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, pick, step byte, script []byte) {
		one, two := fuzzLayer(t, pick), fuzzLayer(t, pick)
		raw := records(peerOf(t, one), script)
		onePlain, o := openAll(t, one, bytes.Clone(raw), 0)

		var twoPlain, kept []byte
		var last Opened
		for piece := range slices.Chunk(raw, int(step)*7+1) {
			kept = append(kept, piece...)
			last = two.Open(kept)
			twoPlain = append(twoPlain, last.Plain...)
			kept = slices.Clone(kept[last.Used:])
			state := two.Freeze(nil)
			if last.Err != nil {
				break
			}
			thawed, err := Thaw(state)
			if err != nil {
				t.Fatalf("a layer that has come to %x does not thaw: %v", state, err)
			}
			if again := thawed.Freeze(nil); !bytes.Equal(again, state) {
				t.Fatalf("frozen again it is %x, not %x", again, state)
			}
			two = thawed
		}
		if !bytes.Equal(onePlain, twoPlain) || o.End != last.End || !errors.Is(last.Err, one.fault) && o.Err != nil || (o.Err == nil) != (last.Err == nil) {
			t.Fatalf("at once: %q, %t, %v; in pieces: %q, %t, %v", onePlain, o.End, o.Err, twoPlain, last.End, last.Err)
		}
		if !bytes.Equal(o.Reply, last.Reply) {
			t.Fatalf("at once the peer is told %x, and %x in pieces", o.Reply, last.Reply)
		}
		if a, b := one.Seal(nil, []byte("end")), two.Seal(nil, []byte("end")); !bytes.Equal(a, b) {
			t.Fatalf("afterwards %x is sealed, and %x", a, b)
		}
		if a, b := one.Freeze(nil), two.Freeze(nil); !bytes.Equal(a, b) {
			t.Fatalf("afterwards the states are %x and %x", a, b)
		}
	})
}

// records makes protected records of a script: a type, a length of two bytes and the
// content, again and again; in what is cut short zeros are missing. The peer goes on to
// its next key where a KeyUpdate of its ends a record.
func records(p *peer, script []byte) (raw []byte) {
	var messages []byte
	for len(script) >= 3 && len(raw) < 1<<17 {
		kind, n := script[0], int(binary.BigEndian.Uint16(script[1:]))%(maxPlain+20)
		content := make([]byte, n)
		used := copy(content, script[3:])
		script = script[3+used:]
		raw = append(raw, p.send(kind, content, used%3)...)
		if kind != kindHandshake {
			continue
		}
		messages = append(messages, content...)
		for len(messages) >= 4 {
			end := 4 + int(messages[1])<<16 + int(messages[2])<<8 + int(messages[3])
			if len(messages) < end {
				break
			}
			if messages[0] == keyUpdate && p.suite.tls13 && len(messages) == end {
				p.next(p.write)
			}
			messages = messages[end:]
		}
	}
	return raw
}

// FuzzThaw gives Thaw whatever another process might: it must refuse it, or make a layer
// that is in that state, and that does not panic at what comes.
func FuzzThaw(f *testing.F) {
	layers := frozenCases(f)
	for _, name := range sortedNames(layers) {
		f.Add(layers[name].Freeze(nil), []byte("\x17\x03\x03\x00\x00"))
	}
	f.Fuzz(func(t *testing.T, state, raw []byte) {
		l, err := Thaw(state)
		if err != nil {
			return
		}
		if again := l.Freeze(nil); !bytes.Equal(again, state) {
			t.Fatalf("frozen again it is %x, not %x", again, state)
		}
		p := peerOf(t, l)
		content := raw[:min(len(raw), 100)]
		if p.write.seq < lastSeq-3 {
			raw = slices.Concat(records(p, content), raw)
		}
		openAll(t, l, raw, 0)
		l.Seal(nil, []byte("x"))
		if _, err := Thaw(l.Freeze(nil)); err != nil {
			t.Fatalf("it comes into a state that does not thaw: %v", err)
		}
		l.CloseNotify(nil)
		l.Alert(nil, internalError)
		l.Wipe()
	})
}
