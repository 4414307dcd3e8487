package tlsrecord

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// goodInputs: what each layer must take, however odd. Names in brackets as above.
var goodInputs = []struct {
	name  string
	to    only
	input func(p *peer) []byte
	plain string
	end   bool
	// answer is what stands before the next data that the layer seals.
	answer []part
}{
	{"nothing", both, func(*peer) []byte { return nil }, "", false, nil},
	{"records in a row", both, func(p *peer) []byte {
		return slices.Concat(p.data("one "), p.data("two "), p.data("three"))
	}, "one two three", false, nil},
	{"the longest record", both, func(p *peer) []byte { return p.data(strings.Repeat("x", 16384)) }, strings.Repeat("x", 16384), false, nil},
	{"the longest length, and no more than that", v13, func(*peer) []byte { return []byte{23, 3, 3, 0x41, 0} }, "", false, nil},
	{"the longest length, and no more than that", v12, func(*peer) []byte { return []byte{23, 3, 3, 0x48, 0} }, "", false, nil},
	{"zeros behind (TLS13-RecordPadding-TLS)", v13, func(p *peer) []byte {
		return slices.Concat(p.send(23, []byte("a"), 10), p.send(23, []byte("b\x00"), 1000))
	}, "ab\x00", false, nil},
	{"zeros up to the limit (LargePlaintext-TLS13-Padded-8192-8192)", v13, func(p *peer) []byte {
		return p.send(23, bytes.Repeat([]byte{'x'}, 8192), 8192)
	}, strings.Repeat("x", 8192), false, nil},
	{"zeros up to the limit (LargePlaintext-TLS13-Padded-16383-1)", v13, func(p *peer) []byte {
		return p.send(23, bytes.Repeat([]byte{'x'}, 16383), 1)
	}, strings.Repeat("x", 16383), false, nil},
	{"zeros and nothing else", v13, func(p *peer) []byte { return p.send(23, nil, 16384) }, "", false, nil},
	{"16 empty records (SendEmptyRecords-Pass), twice", both, func(p *peer) []byte {
		empty := func() []byte { return p.data("") }
		return slices.Concat(times(16, empty), p.data("a"), times(16, empty), p.data("b"))
	}, "ab", false, nil},
	{"16 warnings (SendWarningAlerts-Pass)", v12, func(p *peer) []byte {
		return slices.Concat(times(16, func() []byte { return p.send(21, []byte{1, 112}, 0) }), p.data("a"))
	}, "a", false, nil},
	{"user_canceled (SendUserCanceledAlerts-TLS13)", both, func(p *peer) []byte {
		return slices.Concat(p.data("a"), p.send(21, []byte{1, 90}, 0), p.data("b"))
	}, "ab", false, nil},
	{"user_canceled, marked fatal, and close_notify", v13, func(p *peer) []byte {
		return slices.Concat(p.send(21, []byte{2, 90}, 0), p.send(21, []byte{1, 0}, 0))
	}, "", true, nil},
	{"the peer refuses renegotiation", v12, func(p *peer) []byte {
		return slices.Concat(p.send(21, []byte{1, 100}, 0), p.data("a"))
	}, "a", false, nil},
	{"close_notify", both, func(p *peer) []byte {
		return slices.Concat(p.data("last"), p.send(21, []byte{1, 0}, 0))
	}, "last", true, nil},
	{"close_notify, marked fatal", both, func(p *peer) []byte { return p.send(21, []byte{2, 0}, 0) }, "", true, nil},
	{"close_notify and more", both, func(p *peer) []byte {
		return slices.Concat(p.data("last"), p.send(21, []byte{1, 0}, 0), p.data("too late"), []byte("junk"))
	}, "last", true, nil},
	{"a KeyUpdate (KeyUpdate-ToServer)", v13, func(p *peer) []byte {
		return slices.Concat(p.data("a"), p.update(0), p.data("b"))
	}, "ab", false, nil},
	{"a KeyUpdate with zeros", v13, func(p *peer) []byte {
		record := p.send(22, []byte{24, 0, 0, 1, 0}, 50)
		p.next(p.write)
		return slices.Concat(record, p.data("b"))
	}, "b", false, nil},
	{"16 KeyUpdates", v13, func(p *peer) []byte {
		return slices.Concat(times(16, func() []byte { return p.update(0) }), p.data("a"))
	}, "a", false, nil},
	{"a KeyUpdate that is asked for (KeyUpdate-Requested)", v13, func(p *peer) []byte {
		return slices.Concat(p.update(1), p.data("a"))
	}, "a", false, []part{{22, "\x18\x00\x00\x01\x00"}}},
	{"many that are asked for, one answer (KeyUpdate-Requested-UnfinishedWrite)", v13, func(p *peer) []byte {
		return times(100, func() []byte { return slices.Concat(p.update(1), p.data("a")) })
	}, strings.Repeat("a", 100), false, []part{{22, "\x18\x00\x00\x01\x00"}}},
	{"one that is asked for, and one that is not", v13, func(p *peer) []byte {
		return slices.Concat(p.update(1), p.update(0), p.data("a"))
	}, "a", false, []part{{22, "\x18\x00\x00\x01\x00"}}},
	{"a KeyUpdate in pieces", v13, func(p *peer) []byte {
		var all []byte
		for _, b := range []byte{24, 0, 0, 1, 1} {
			all = append(all, p.send(22, []byte{b}, 3)...)
		}
		p.next(p.write)
		return slices.Concat(all, p.data("a"))
	}, "a", false, []part{{22, "\x18\x00\x00\x01\x00"}}},
	{"tickets", tls13 | toClient, func(p *peer) []byte {
		return slices.Concat(p.send(22, handshakeMessage(4, 100), 0), p.send(22, handshakeMessage(4, 200), 0), p.data("a"))
	}, "a", false, nil},
	{"tickets in one record, and in pieces", tls13 | toClient, func(p *peer) []byte {
		two := slices.Concat(handshakeMessage(4, 14), handshakeMessage(4, 1000))
		return slices.Concat(p.send(22, two[:3], 0), p.send(22, two[3:500], 0), p.send(22, two[500:], 0), p.data("a"))
	}, "a", false, nil},
	{"the longest ticket", tls13 | toClient, func(p *peer) []byte {
		var all []byte
		for piece := range slices.Chunk(handshakeMessage(4, 131337), 16384) {
			all = append(all, p.send(22, piece, 0)...)
		}
		return append(all, p.data("a")...)
	}, "a", false, nil},
	{"a ticket and a KeyUpdate in one record", tls13 | toClient, func(p *peer) []byte {
		record := p.send(22, slices.Concat(handshakeMessage(4, 100), []byte{24, 0, 0, 1, 0}), 0)
		p.next(p.write)
		return slices.Concat(record, p.data("a"))
	}, "a", false, nil},
	{"HelloRequest", tls12 | toClient, func(p *peer) []byte {
		return slices.Concat(p.send(22, handshakeMessage(0, 0), 0), p.data("a"))
	}, "a", false, nil},
	{"HelloRequest in pieces", tls12 | toClient, func(p *peer) []byte {
		return slices.Concat(p.send(22, []byte{0, 0}, 0), p.send(22, []byte{0, 0, 0, 0, 0, 0}, 0), p.data("a"))
	}, "a", false, nil},
}

func TestGoodInput(t *testing.T) {
	for _, test := range goodInputs {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for i := range suites {
				for _, role := range []Role{Server, Client} {
					for _, step := range []int{0, 7, 3000} {
						l := layerOf(t, role, suites[i].id, 0, 0)
						if !test.to.fits(l) {
							continue
						}
						p := peerOf(t, l)
						plain, o := openAll(t, l, test.input(p), step)
						if string(plain) != test.plain || o.End != test.end || o.Err != nil || o.Reply != nil {
							t.Fatalf("suite %#04x, role %d, in steps of %d: %d bytes, %t, %v, a reply of %d", suites[i].id, role, step, len(plain), o.End, o.Err, len(o.Reply))
						}
						checkSends(t, l, p, test.answer)
					}
				}
			}
		})
	}
}

// checkSends looks that a layer still seals, after what it owes, and says its last word once.
func checkSends(t *testing.T, l *Layer, p *peer, owed []part) {
	t.Helper()
	want := append(slices.Clone(owed), part{23, "hello"}, part{23, "again"}, part{21, "\x01\x00"})
	sealed := l.CloseNotify(l.Seal(l.Seal(l.Seal(nil, []byte("hello")), nil), []byte("again")))
	if got := p.receive(sealed); !slices.Equal(got, want) {
		t.Errorf("it sends %v, not %v", got, want)
	}
	if more := l.Alert(l.CloseNotify(l.Seal(nil, []byte("more"))), internalError); len(more) > 0 {
		t.Errorf("after close_notify it sends %d bytes", len(more))
	}
}
