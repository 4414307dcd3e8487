package tlsrecord

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func TestNewRefuses(t *testing.T) {
	const suite13, suite12 = tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
	b32, b48 := make([]byte, 32), make([]byte, 48)
	new13 := func(role Role, suite uint16, client, server []byte) error {
		_, err := NewTLS13(role, suite, client, server, 0, 0)
		return err
	}
	new12 := func(role Role, suite uint16, master []byte) error {
		_, err := NewTLS12(role, suite, master, [32]byte{}, [32]byte{}, 1, 1)
		return err
	}
	tests := []struct {
		name string
		err  error
		want string // in the error; empty: none
	}{
		{"1.3", new13(Server, suite13, b32, b32), ""},
		{"1.3, SHA-384", new13(Client, tls.TLS_AES_256_GCM_SHA384, b48, b48), ""},
		{"1.3, secret too short", new13(Server, suite13, b32[:31], b32), "traffic secrets of 31 and 32 bytes, not of 32"},
		{"1.3, secret of another hash", new13(Server, suite13, b32, b48), "traffic secrets of 32 and 48 bytes"},
		{"1.3, no secret", new13(Server, suite13, nil, nil), "traffic secrets of 0"},
		{"1.3 with a suite of 1.2", new13(Server, suite12, b32, b32), "0xc02f is not of TLS 1.3"},
		{"1.3 with no such role", new13(2, suite13, b32, b32), "neither server nor client"},
		{"1.2", new12(Server, suite12, b48), ""},
		{"1.2, secret too short", new12(Server, suite12, b32), "master secret of 32 bytes"},
		{"1.2 with a suite of 1.3", new12(Server, suite13, b48), "0x1301 is not of TLS 1.2"},
		{"1.2 with CBC", new12(Server, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, b48), "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is not one"},
		{"1.2 with RSA", new12(Server, tls.TLS_RSA_WITH_AES_128_GCM_SHA256, b48), "is not one"},
		{"1.2 with no such role", new12(200, suite12, b48), "neither server nor client"},
		{"no such suite", new13(Server, 0, b32, b32), "0x0000 is not one"},
	}
	for _, test := range tests {
		if test.want == "" && test.err == nil {
			continue
		}
		if test.want == "" || test.err == nil || !strings.Contains(test.err.Error(), test.want) || !strings.HasPrefix(test.err.Error(), "tlsrecord: new: ") {
			t.Errorf("%s: %v, not %q", test.name, test.err, test.want)
		}
	}
}

// A server has many idle layers.
func TestLayerIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Layer{}); size > 160 {
		t.Errorf("a layer has %d bytes", size)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for i := range suites {
		client, server := pair(t, suites[i].id)
		var cache Cache
		client.SetCache(&cache)
		server.SetCache(&cache)
		plain, there, back := make([]byte, 3*maxPlain), make([]byte, 0, 1<<16), make([]byte, 0, 1<<16)
		allocs := testing.AllocsPerRun(10, func() {
			there = client.Seal(there[:0], plain)
			o := server.Open(there)
			back = server.Seal(back[:0], o.Plain)
			if o = client.Open(back); o.Used != len(back) || !bytes.Equal(o.Plain, plain) {
				t.Fatal("not the same comes back")
			}
		})
		if allocs > 0 {
			t.Errorf("suite %#04x: %v allocations for twelve records", suites[i].id, allocs)
		}
	}
}

// Seal appends to what there is, with room or without, and opens as it was.
func TestSealAppends(t *testing.T) {
	eachLayer(t, func(t *testing.T, l *Layer) {
		p := peerOf(t, l)
		for _, size := range []int{0, 1, maxPlain - 1, maxPlain, maxPlain + 1, 5 * maxPlain} {
			for _, room := range []int{0, 1, 30, 1 << 17} {
				data := numbered(size, size)
				kept := slices.Clone(data)
				dst := append(make([]byte, 0, 6+room), "before"...)
				sealed := l.Seal(dst, data)
				rest, ok := bytes.CutPrefix(sealed, []byte("before"))
				if !ok || !bytes.Equal(data, kept) {
					t.Fatal("what was before, or the data, is changed")
				}
				var got []byte
				for _, part := range p.receive(rest) {
					if part.kind != 23 || len(part.content) > maxPlain || len(part.content) == 0 {
						t.Fatalf("a record of type %d and %d bytes", part.kind, len(part.content))
					}
					got = append(got, part.content...)
				}
				if !bytes.Equal(got, data) {
					t.Fatalf("%d bytes of %d come, or others", len(got), len(data))
				}
			}
		}
	})
}

// What Open returns is part of what it is given, and nothing behind that is touched.
func TestOpenIsInPlace(t *testing.T) {
	eachLayer(t, func(t *testing.T, l *Layer) {
		p := peerOf(t, l)
		whole := slices.Concat(p.data("one"), p.data(""), p.data("two"))
		part := p.data("three")[:20]
		raw := slices.Concat(whole, part)
		o := l.Open(raw)
		if o.Used != len(whole) || string(o.Plain) != "onetwo" || !bytes.Equal(raw[o.Used:], part) {
			t.Fatalf("%d bytes of %d are used, %q", o.Used, len(whole), o.Plain)
		}
		if at := bytes.Index(raw, []byte("onetwo")); at < 0 || &raw[at] != &o.Plain[0] || at+cap(o.Plain) > o.Used {
			t.Errorf("the plain bytes are not in the input, or reach out of what is used: %d, %d", at, cap(o.Plain))
		}
	})
}

func TestOpens(t *testing.T) {
	eachLayer(t, func(t *testing.T, l *Layer) {
		first, second := l.Seal(nil, []byte("first")), l.Seal(nil, []byte("second"))
		kept := slices.Clone(second)
		s, state := &suites[l.suite], l.Freeze(nil)
		if !l.Opens(second) || !bytes.Equal(second, kept) {
			t.Error("the last record does not open, or is changed")
		}
		for name, record := range map[string][]byte{
			"the one before":   first,
			"two":              slices.Concat(first, second),
			"it and more":      append(slices.Clone(second), 0),
			"a part":           second[:len(second)-1],
			"a header":         second[:headerLen],
			"nothing":          nil,
			"another's":        layerOf(t, 1-l.role, s.id, 0, 1).Seal(nil, []byte("second")),
			"one with a flip":  flip(slices.Clone(second), -1),
			"one in the clear": []byte("\x16\x03\x03\x00\x02hi"),
		} {
			if l.Opens(record) {
				t.Errorf("%s opens", name)
			}
		}
		if !bytes.Equal(l.Freeze(nil), state) {
			t.Error("Opens has changed the layer")
		}
		if fresh := layerOf(t, l.role, s.id, 0, 0); fresh.Opens(second) || fresh.Opens(first) {
			t.Error("a record opens before the first")
		}
	})
}

func TestAlert(t *testing.T) {
	eachLayer(t, func(t *testing.T, l *Layer) {
		p := peerOf(t, l)
		sealed := l.Alert(l.Seal(nil, []byte("a")), 49) // access_denied
		if got, want := p.receive(sealed), []part{{23, "a"}, {21, "\x02\x31"}}; !slices.Equal(got, want) {
			t.Errorf("sent are %v, not %v", got, want)
		}
		if alert, ok := errors.AsType[tls.AlertError](l.Err()); !ok || alert != 49 {
			t.Errorf("Err says %v", l.Err())
		}
		checkFailed(t, l, faultTold)
	})
}

// Each end closes for itself: after CloseNotify the peer's data is still opened, and a
// failure has no reply.
func TestCloseNotify(t *testing.T) {
	eachLayer(t, func(t *testing.T, l *Layer) {
		p := peerOf(t, l)
		if got := p.receive(l.CloseNotify(nil)); !slices.Equal(got, []part{{21, "\x01\x00"}}) {
			t.Errorf("sent is %v", got)
		}
		if o := l.Open(p.data("still")); string(o.Plain) != "still" || o.Err != nil {
			t.Errorf("afterwards %q is opened, %v", o.Plain, o.Err)
		}
		if err := l.EOF(); err != io.ErrUnexpectedEOF {
			t.Errorf("EOF says %v", err)
		}
		thawed, err := Thaw(l.Freeze(nil))
		if err != nil {
			t.Fatal(err)
		}
		if o := thawed.Open(flip(p.data("junk"), -1)); !errors.Is(o.Err, faultMAC) || o.Reply != nil {
			t.Errorf("a failure afterwards: %v, %x", o.Err, o.Reply)
		}
		if o := l.Open(p.send(21, []byte{1, 0}, 0)); o.Err == nil { // its number is used up
			t.Error("a record is missing, and nothing said")
		}
	})
}

// The peer's close_notify ends what is read, and not what is written.
func TestPeerCloses(t *testing.T) {
	eachLayer(t, func(t *testing.T, l *Layer) {
		p := peerOf(t, l)
		if o := l.Open(p.send(21, []byte{1, 0}, 0)); !o.End || o.Err != nil || l.EOF() != nil {
			t.Errorf("close_notify: %t, %v; EOF says %v", o.End, o.Err, l.EOF())
		}
		thawed, err := Thaw(l.Freeze(nil))
		if err != nil {
			t.Fatal(err)
		}
		if o := thawed.Open([]byte("junk")); o.Used != 4 || !o.End || o.Err != nil || o.Plain != nil || thawed.EOF() != nil {
			t.Errorf("afterwards %+v", o)
		}
		checkSends(t, thawed, p, nil)
	})
}

func TestWipe(t *testing.T) {
	eachLayer(t, func(t *testing.T, l *Layer) {
		var cache Cache
		l.SetCache(&cache)
		record := peerOf(t, l).data("hello")
		l.Seal(nil, []byte("x"))
		l.Wipe()
		if l.read.secret != (Secret{}) || l.write.secret != (Secret{}) || l.entry != nil || cache.Sweep() != 0 {
			t.Error("something is left")
		}
		if o := l.Open(record); !errors.Is(o.Err, faultWiped) || o.Used != len(record) || o.Plain != nil || o.Reply != nil {
			t.Errorf("a wiped layer opens %+v", o)
		}
		checkFailed(t, l, faultWiped)
		if _, err := Thaw(l.Freeze(nil)); err == nil {
			t.Error("a wiped layer thaws")
		}
		l.Wipe()
	})
}

// The peer of the tests numbers records as it likes; the layer's own numbers must be those
// of the RFC from the first on.
func TestNumbersGoOn(t *testing.T) {
	l := layerOf(t, Server, suites[0].id, 5, math.MaxUint32)
	p := peerOf(t, l)
	p.receive(l.Seal(l.Seal(nil, []byte("a")), []byte("b")))
	if o := l.Open(slices.Concat(p.data("c"), p.data("d"))); string(o.Plain) != "cd" {
		t.Errorf("%q, %v", o.Plain, o.Err)
	}
	if l.read.seq != 7 || l.write.seq != math.MaxUint32+2 {
		t.Errorf("the next numbers are %d and %d", l.read.seq, l.write.seq)
	}
}
