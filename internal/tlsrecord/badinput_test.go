package tlsrecord

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// only says to which layers a case is sent.
type only uint8

const (
	tls13 only = 1 << iota
	tls12
	toServer
	toClient
	both = tls13 | tls12 | toServer | toClient
	v13  = tls13 | toServer | toClient
	v12  = tls12 | toServer | toClient
)

func (o only) fits(l *Layer) bool {
	version, role := tls12, toServer
	if suites[l.suite].tls13 {
		version = tls13
	}
	if l.role == Client {
		role = toClient
	}
	return o&version != 0 && o&role != 0
}

func flip(record []byte, at int) []byte {
	if at < 0 {
		at += len(record)
	}
	record[at] ^= 0x10
	return record
}

// handshakeMessage is one of that type, whose body is n zeros.
func handshakeMessage(kind byte, n int) []byte {
	return append([]byte{kind, byte(n >> 16), byte(n >> 8), byte(n)}, make([]byte, n)...)
}

// times joins what send gives when it is called n times.
func times(n int, send func() []byte) (all []byte) {
	for range n {
		all = append(all, send()...)
	}
	return all
}

// badInputs: what each layer must refuse, with what it says. A name in brackets is that
// of the same case in BoringSSL's suite (ssl/test/runner), which allows 32 records without
// data, or 4 warnings, and in places has another alert than the RFC's.
var badInputs = []struct {
	name  string
	to    only
	input func(p *peer) []byte
	want  fault
	plain string // that comes before
}{
	// Records.
	{"a flipped bit of the data (TLSFatalBadPackets)", both, func(p *peer) []byte { return flip(p.data("hello"), -20) }, faultMAC, ""},
	{"a flipped bit of the tag", both, func(p *peer) []byte { return flip(p.data("hello"), -1) }, faultMAC, ""},
	{"a flipped bit after good records", both, func(p *peer) []byte {
		return slices.Concat(p.data("one "), p.data("two"), flip(p.data("three"), -1))
	}, faultMAC, "one two"},
	{"a record again", both, func(p *peer) []byte {
		record := p.data("once")
		return slices.Concat(record, record)
	}, faultMAC, "once"},
	{"records out of order", both, func(p *peer) []byte {
		first := p.data("first")
		return slices.Concat(p.data("second"), first)
	}, faultMAC, ""},
	{"a record missing", both, func(p *peer) []byte {
		p.data("lost")
		return p.data("next")
	}, faultMAC, ""},
	{"a record cut", both, func(p *peer) []byte {
		record := p.data("hello")
		record[4]--
		return record
	}, faultMAC, ""},
	{"an alert as data, by its header", v12, func(p *peer) []byte {
		record := p.send(21, []byte{1, 0}, 0)
		record[0] = 23
		return record
	}, faultMAC, ""},
	{"nothing but a header", both, func(*peer) []byte { return []byte{23, 3, 3, 0, 0} }, faultMAC, ""},
	{"less than a tag", both, func(*peer) []byte { return append([]byte{23, 3, 3, 0, 15}, make([]byte, 15)...) }, faultMAC, ""},
	{"no more than a tag", both, func(*peer) []byte { return append([]byte{23, 3, 3, 0, 16}, make([]byte, 16)...) }, faultMAC, ""},
	{"plaintext data", both, func(*peer) []byte {
		return append([]byte{23, 3, 3, 0, 30}, "thirty bytes in the clear here"...)
	}, faultMAC, ""},
	{"a length too long by one (LargeCiphertext)", v13, func(*peer) []byte { return []byte{23, 3, 3, 0x41, 0x01} }, faultRecordLength, ""},
	{"a length too long by one (LargeCiphertext)", v12, func(*peer) []byte { return []byte{23, 3, 3, 0x48, 0x01} }, faultRecordLength, ""},
	{"the longest length", both, func(*peer) []byte { return []byte{23, 3, 3, 0xff, 0xff} }, faultRecordLength, ""},
	{"data of 16385 bytes (LargePlaintext)", both, func(p *peer) []byte { return p.data(strings.Repeat("x", 16385)) }, faultPlainLength, ""},
	{"16384 bytes and a zero (LargePlaintext-TLS13-Padded-16384-1)", v13, func(p *peer) []byte {
		return p.send(23, bytes.Repeat([]byte{'x'}, 16384), 1)
	}, faultPlainLength, ""},
	{"8192 bytes and 8193 zeros (LargePlaintext-TLS13-Padded-8193-8192)", v13, func(p *peer) []byte {
		return p.send(23, bytes.Repeat([]byte{'x'}, 8192), 8193)
	}, faultPlainLength, ""},
	{"16385 zeros behind nothing", v13, func(p *peer) []byte { return p.send(23, nil, 16385) }, faultPlainLength, ""},
	{"version 3.1", both, func(p *peer) []byte { record := p.data("hello"); record[2] = 1; return record }, faultVersion, ""},
	{"version 3.4", both, func(p *peer) []byte { record := p.data("hello"); record[2] = 4; return record }, faultVersion, ""},
	{"version 2.3", both, func(p *peer) []byte { record := p.data("hello"); record[1] = 2; return record }, faultVersion, ""},
	{"HTTP (HttpGET)", both, func(*peer) []byte { return []byte("GET / HTTP/1.1\r\n\r\n") }, faultKind, ""},
	{"SSLv2", both, func(*peer) []byte { return []byte{0x80, 0x2e, 1, 3, 1} }, faultKind, ""},
	{"type 0 (SendInvalidRecordType)", both, func(*peer) []byte { return make([]byte, 5) }, faultKind, ""},
	{"a heartbeat", both, func(p *peer) []byte { return p.protect(24, []byte{1, 0, 0}) }, faultKind, ""},
	{"change_cipher_spec, in the clear", both, func(*peer) []byte { return []byte{20, 3, 3, 0, 1, 1} }, faultKind, ""},
	{"change_cipher_spec (SendPostHandshakeChangeCipherSpec-TLS13)", both, func(p *peer) []byte { return p.send(20, []byte{1}, 0) }, faultKind, ""},
	{"a plaintext alert", v13, func(*peer) []byte { return []byte{21, 3, 3, 0, 2, 1, 0} }, faultKind, ""},
	{"a plaintext alert", v12, func(*peer) []byte { return []byte{21, 3, 3, 0, 2, 1, 0} }, faultMAC, ""},
	{"a plaintext KeyUpdate", v13, func(*peer) []byte { return []byte{22, 3, 3, 0, 5, 24, 0, 0, 1, 0} }, faultKind, ""},
	{"an outer type of old (TLS13-WrongOuterRecord-TLS)", v13, func(p *peer) []byte { return p.protect(22, []byte("x\x17")) }, faultKind, ""},
	{"inner type 24", v13, func(p *peer) []byte { return p.send(24, []byte{1}, 0) }, faultKind, ""},
	{"inner type 255", v13, func(p *peer) []byte { return p.send(255, []byte{1}, 0) }, faultKind, ""},
	{"no inner type (TLS13-EmptyRecords-TLS)", v13, func(p *peer) []byte { return p.protect(23, nil) }, faultNoKind, ""},
	{"nothing but zeros (TLS13-OnlyPadding-TLS)", v13, func(p *peer) []byte { return p.protect(23, make([]byte, 16385)) }, faultNoKind, ""},

	// What comes without data.
	{"17 empty records (SendEmptyRecords)", both, func(p *peer) []byte {
		return times(17, func() []byte { return p.data("") })
	}, faultIdle, ""},
	{"17 records of zeros alone", v13, func(p *peer) []byte {
		return times(17, func() []byte { return p.send(23, nil, 100) })
	}, faultIdle, ""},
	{"17 empty records after data", both, func(p *peer) []byte {
		return slices.Concat(p.data("hello"), times(17, func() []byte { return p.data("") }))
	}, faultIdle, "hello"},
	{"17 warnings (SendWarningAlerts-TooMany)", v12, func(p *peer) []byte {
		return times(17, func() []byte { return p.send(21, []byte{1, 112}, 0) })
	}, faultIdle, ""},
	{"17 times user_canceled (SendUserCanceledAlerts-TooMany-TLS13)", both, func(p *peer) []byte {
		return times(17, func() []byte { return p.send(21, []byte{1, 90}, 0) })
	}, faultIdle, ""},
	{"17 KeyUpdates (TooManyKeyUpdates)", v13, func(p *peer) []byte {
		return times(17, func() []byte { return p.update(0) })
	}, faultIdle, ""},
	{"17 KeyUpdates that are asked for (TooManyKeyUpdates)", v13, func(p *peer) []byte {
		return times(17, func() []byte { return p.update(1) })
	}, faultIdle, ""},
	{"17 of all sorts (AlternateEmptyRecordsAndWarningAlerts)", v13, func(p *peer) []byte {
		return slices.Concat(times(5, func() []byte {
			return slices.Concat(p.data(""), p.update(1), p.send(21, []byte{1, 90}, 0))
		}), p.update(0), p.data(""))
	}, faultIdle, ""},
	{"17 HelloRequests", tls12 | toClient, func(p *peer) []byte {
		return p.send(22, make([]byte, 17*4), 0)
	}, faultIdle, ""},
	{"17 tickets", tls13 | toClient, func(p *peer) []byte {
		return times(17, func() []byte { return p.send(22, handshakeMessage(4, 100), 0) })
	}, faultIdle, ""},

	// Alerts.
	{"an empty alert", both, func(p *peer) []byte { return p.send(21, nil, 0) }, faultEmpty, ""},
	{"an empty alert with zeros", v13, func(p *peer) []byte { return p.send(21, nil, 9) }, faultEmpty, ""},
	{"an alert of one byte (FragmentAlert)", both, func(p *peer) []byte { return p.send(21, []byte{1}, 0) }, faultAlertLength, ""},
	{"two alerts in a record (DoubleAlert)", both, func(p *peer) []byte { return p.send(21, []byte{1, 0, 1, 0}, 0) }, faultAlertLength, ""},
	{"an alert of level 42 (SendBogusAlertType)", v12, func(p *peer) []byte { return p.send(21, []byte{42, 90}, 0) }, faultAlertLevel, ""},
	{"close_notify of level 0", v12, func(p *peer) []byte { return p.send(21, []byte{0, 0}, 0) }, faultAlertLevel, ""},
	{"a fatal alert", both, func(p *peer) []byte { return slices.Concat(p.data("last"), p.send(21, []byte{2, 40}, 0)) }, faultPeer, "last"},
	{"a fatal alert by its number alone (SendWarningAlerts-TLS13)", v13, func(p *peer) []byte { return p.send(21, []byte{1, 40}, 0) }, faultPeer, ""},
	{"an unknown alert", v13, func(p *peer) []byte { return p.send(21, []byte{1, 255}, 0) }, faultPeer, ""},
	{"user_canceled as a fatal alert", v12, func(p *peer) []byte { return p.send(21, []byte{2, 90}, 0) }, faultPeer, ""},

	// Handshake messages.
	{"an empty handshake record", both, func(p *peer) []byte { return p.send(22, nil, 0) }, faultEmpty, ""},
	{"an empty handshake record with zeros", v13, func(p *peer) []byte { return p.send(22, nil, 9) }, faultEmpty, ""},
	{"a KeyUpdate and a byte", v13, func(p *peer) []byte {
		return p.send(22, []byte{24, 0, 0, 1, 0, 24}, 0)
	}, faultUpdateInside, ""},
	{"two KeyUpdates in a record", v13, func(p *peer) []byte {
		return p.send(22, []byte{24, 0, 0, 1, 1, 24, 0, 0, 1, 0}, 0)
	}, faultUpdateInside, ""},
	{"a KeyUpdate that asks for 2 (KeyUpdate-InvalidRequestMode)", v13, func(p *peer) []byte { return p.update(2) }, faultUpdateValue, ""},
	{"a KeyUpdate of no bytes", v13, func(p *peer) []byte { return p.send(22, []byte{24, 0, 0, 0}, 0) }, faultMessageLength, ""},
	{"a KeyUpdate of two bytes", v13, func(p *peer) []byte { return p.send(22, []byte{24, 0, 0, 2, 0, 0}, 0) }, faultMessageLength, ""},
	{"a KeyUpdate of 16 MiB", v13, func(p *peer) []byte { return p.send(22, []byte{24, 255, 255, 255}, 0) }, faultMessageLength, ""},
	{"a KeyUpdate, and the old key", v13, func(p *peer) []byte {
		update := p.send(22, []byte{24, 0, 0, 1, 0}, 0)
		return slices.Concat(update, p.data("old"))
	}, faultMAC, ""},
	{"a KeyUpdate, and the old number", v13, func(p *peer) []byte {
		p.data("")
		p.write.seq = 0
		update := p.update(0)
		p.write.seq = 1
		return slices.Concat(update, p.data("old"))
	}, faultMAC, ""},
	{"data inside a KeyUpdate", v13, func(p *peer) []byte {
		return slices.Concat(p.data("a"), p.send(22, []byte{24, 0, 0}, 0), p.data("b"), p.send(22, []byte{1, 0}, 0))
	}, faultInterleaved, "a"},
	{"an empty record inside a KeyUpdate", v13, func(p *peer) []byte {
		return slices.Concat(p.send(22, []byte{24}, 0), p.data(""))
	}, faultInterleaved, ""},
	{"an alert inside a KeyUpdate", v13, func(p *peer) []byte {
		return slices.Concat(p.send(22, []byte{24, 0, 0, 1}, 0), p.send(21, []byte{1, 0}, 0))
	}, faultInterleaved, ""},
	{"a KeyUpdate in 1.2", v12, func(p *peer) []byte { return p.send(22, []byte{24, 0, 0, 1, 0}, 0) }, faultMessage, ""},
	{"a ticket to a server", tls13 | tls12 | toServer, func(p *peer) []byte { return p.send(22, handshakeMessage(4, 100), 0) }, faultMessage, ""},
	{"a ticket after 1.2's handshake", tls12 | toClient, func(p *peer) []byte { return p.send(22, handshakeMessage(4, 100), 0) }, faultMessage, ""},
	{"a ticket that is too short", tls13 | toClient, func(p *peer) []byte { return p.send(22, handshakeMessage(4, 13), 0) }, faultMessageLength, ""},
	{"a ticket that is too long", tls13 | toClient, func(p *peer) []byte { return p.send(22, handshakeMessage(4, 131338)[:4], 0) }, faultMessageLength, ""},
	{"data inside a ticket", tls13 | toClient, func(p *peer) []byte {
		return slices.Concat(p.send(22, handshakeMessage(4, 100)[:50], 0), p.data("b"))
	}, faultInterleaved, ""},
	{"CertificateRequest", both, func(p *peer) []byte { return p.send(22, handshakeMessage(13, 10), 0) }, faultMessage, ""},
	{"ClientHello in 1.3", v13, func(p *peer) []byte { return p.send(22, handshakeMessage(1, 200), 0) }, faultMessage, ""},
	{"HelloRequest in 1.3", v13, func(p *peer) []byte { return p.send(22, handshakeMessage(0, 0), 0) }, faultMessage, ""},
	{"EndOfEarlyData", both, func(p *peer) []byte { return p.send(22, handshakeMessage(5, 0), 0) }, faultMessage, ""},
	{"Certificate", both, func(p *peer) []byte { return p.send(22, handshakeMessage(11, 300), 0) }, faultMessage, ""},
	{"Finished again", both, func(p *peer) []byte { return p.send(22, handshakeMessage(20, 32), 0) }, faultMessage, ""},
	{"an unknown message", both, func(p *peer) []byte { return p.send(22, []byte{0xff}, 0) }, faultMessage, ""},
	{"ClientHello in 1.2 (Renegotiate-Server-Forbidden)", tls12 | toServer, func(p *peer) []byte {
		return slices.Concat(p.data("GET"), p.send(22, handshakeMessage(1, 200), 0), p.data("/"))
	}, faultRenegotiation, "GET"},
	{"the first byte of ClientHello in 1.2", tls12 | toServer, func(p *peer) []byte { return p.send(22, []byte{1}, 0) }, faultRenegotiation, ""},
	{"ClientHello to a client", tls12 | toClient, func(p *peer) []byte { return p.send(22, handshakeMessage(1, 200), 0) }, faultMessage, ""},
	{"HelloRequest to a server", tls12 | toServer, func(p *peer) []byte { return p.send(22, handshakeMessage(0, 0), 0) }, faultMessage, ""},
	{"HelloRequest with a body (BadHelloRequest-1)", tls12 | toClient, func(p *peer) []byte { return p.send(22, handshakeMessage(0, 1), 0) }, faultMessageLength, ""},
	{"ServerKeyExchange to a client (BadHelloRequest-2)", tls12 | toClient, func(p *peer) []byte { return p.send(22, handshakeMessage(12, 0), 0) }, faultMessage, ""},
	{"data inside HelloRequest", tls12 | toClient, func(p *peer) []byte {
		return slices.Concat(p.send(22, []byte{0, 0}, 0), p.data("b"))
	}, faultInterleaved, ""},
}

func TestBadInput(t *testing.T) {
	for _, test := range badInputs {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for i := range suites {
				for _, role := range []Role{Server, Client} {
					for _, step := range []int{0, 1, 3000} {
						l := layerOf(t, role, suites[i].id, 0, 0)
						if !test.to.fits(l) || step == 1 && len(suites)%3 != i%3 {
							continue // a third of the suites sees single bytes
						}
						p := peerOf(t, l)
						input := test.input(p)
						if step == 1 && len(input) > 2000 {
							continue
						}
						checkRefused(t, l, p, input, step, test.want, test.plain)
					}
				}
			}
		})
	}
}

// checkRefused gives a layer what it must refuse, and looks at all that follows.
func checkRefused(t *testing.T, l *Layer, p *peer, input []byte, step int, want fault, wantPlain string) {
	t.Helper()
	plain, o := openAll(t, l, input, step)
	if string(plain) != wantPlain || !errors.Is(o.Err, want) || o.End {
		t.Fatalf("suite %#04x, role %d, in steps of %d: %q, %t, %v; not %q, %v", suites[l.suite].id, l.role, step, plain, o.End, o.Err, wantPlain, want)
	}
	var wantReply []part
	if code := faults[want].alert; code != closeNotify {
		level := byte(2)
		if code == noRenegotiation { // RFC 5246, section 7.2.2
			level = 1
		}
		wantReply = []part{{21, string([]byte{level, code})}}
	}
	if got := p.receive(o.Reply); !slices.Equal(got, wantReply) {
		t.Errorf("the peer is told %v, not %v", got, wantReply)
	}
	if want == faultPeer {
		if alert, ok := errors.AsType[tls.AlertError](o.Err); !ok || alert == 0 {
			t.Errorf("the peer's alert gives %v", o.Err)
		}
	}
	checkFailed(t, l, want)
	thawed, err := Thaw(l.Freeze(nil))
	if err != nil {
		t.Fatal(err)
	}
	checkFailed(t, thawed, want)
}

// checkFailed looks that a layer that has failed does no more.
func checkFailed(t *testing.T, l *Layer, want fault) {
	t.Helper()
	if err := l.Err(); !errors.Is(err, want) {
		t.Errorf("Err says %v", err)
	}
	if err := l.EOF(); !errors.Is(err, want) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("EOF says %v", err)
	}
	more := []byte("whatever")
	if o := l.Open(more); o.Used != len(more) || o.Plain != nil || o.Reply != nil || o.End || !errors.Is(o.Err, want) {
		t.Errorf("afterwards %+v is opened", o)
	}
	if sealed := l.Alert(l.CloseNotify(l.Seal(nil, more)), internalError); len(sealed) > 0 {
		t.Errorf("afterwards %d bytes are sealed", len(sealed))
	}
}

// Each fault must have a text, and each that is the peer's a case above.
func TestEachFaultHasACase(t *testing.T) {
	elsewhere := []fault{faultNone, faultTold, faultWiped, faultKeySpent, faultSequence} // TestLimits, TestWipe, TestAlert
	for f := range numFaults {
		if f != faultNone && faults[f].text == "" {
			t.Errorf("fault %d has no text", f)
		}
		tested := slices.Contains(elsewhere, f)
		for _, test := range badInputs {
			tested = tested || test.want == f
		}
		if !tested {
			t.Errorf("no case for %q", f.Error())
		}
	}
}
