package ipc

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/usher-go/usher/fdpass"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

var compareEnvelopes = cmp.Options{
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

// What is sent is what arrives, and Raw forwards it byte by byte.
func TestAnyEnvelopeSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.SliceOfN(anyEnvelope(100), 1, MaxConns).Draw(t, "envelopes")
		var p Packet
		for i := range sent {
			if !p.Add(&sent[i], i) {
				sent = sent[:i]
				break
			}
		}
		got, err := parsed(p.encode())
		if err != nil {
			t.Fatal(err)
		}
		if got.Len() != len(sent) {
			t.Fatalf("%d envelopes, want %d", got.Len(), len(sent))
		}
		var forwarded Packet
		for i := range sent {
			var e Envelope
			if err := got.Decode(i, &e); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(sent[i], e, compareEnvelopes); diff != "" {
				t.Fatalf("envelope %d (-sent +got):\n%s", i, diff)
			}
			if got.ID(i) != sent[i].ID {
				t.Fatalf("id %d is %d, want %d", i, got.ID(i), sent[i].ID)
			}
			if !forwarded.AddFrom(got, i) {
				t.Fatalf("envelope %d cannot be forwarded", i)
			}
		}
		if !bytes.Equal(forwarded.encode(), p.encode()) {
			t.Fatal("the forwarded packet differs")
		}
	})
}

func TestWhatTheWireDoesNotCarry(t *testing.T) {
	tests := []struct {
		name      string
		sent, got Envelope
	}{
		{"a zone by name",
			Envelope{Remote: netip.MustParseAddrPort("[fe80::1%eth0]:1")},
			Envelope{Remote: netip.MustParseAddrPort("[fe80::1]:1")}},
		{"the zone of the local address",
			Envelope{Local: netip.MustParseAddrPort("[fe80::1%2]:1")},
			Envelope{Local: netip.MustParseAddrPort("[fe80::1]:1")}},
		{"a port without an address",
			Envelope{Remote: netip.AddrPortFrom(netip.Addr{}, 9)},
			Envelope{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, err := parsed(encoded(t, test.sent))
			if err != nil {
				t.Fatal(err)
			}
			var got Envelope
			if err := p.Decode(0, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.got, got, compareEnvelopes); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// An envelope is written over what a longer one left in the buffer.
func TestPacketUsedAgain(t *testing.T) {
	fresh := encoded(t, Envelope{ID: 7})
	var p Packet
	p.Add(&Envelope{ID: 1, Listener: "web", State: bytes.Repeat([]byte{0xff}, 1000),
		Remote: netip.MustParseAddrPort("[2001:db8::1%3]:5"), Local: netip.MustParseAddrPort("[::]:9")}, -1)
	p.Reset()
	p.Add(&Envelope{ID: 7}, -1)
	if !bytes.Equal(p.encode(), fresh) {
		t.Error("a packet used again differs from a fresh one")
	}
}

// What was frozen may hold keys, which are not to be found once the packet is sent or used.
func TestResetOverwritesStates(t *testing.T) {
	var p Packet
	p.Add(&Envelope{ID: 1}, -1)
	p.Add(&Envelope{ID: 2, State: []byte("secret")}, -1)
	p.Add(&Envelope{ID: 3}, -1)
	p.Reset()
	if bytes.Contains(p.buffer[:], []byte("secret")) {
		t.Error("a state is still there")
	}
}

func TestPacketIsFull(t *testing.T) {
	state := func(n int) []byte { return make([]byte, n) }
	tests := []struct {
		name  string
		first []Envelope
		then  Envelope
		want  bool
	}{
		{"the 64th connection", make([]Envelope, MaxConns-1), Envelope{}, true},
		{"the 65th", make([]Envelope, MaxConns), Envelope{}, false},
		{"the longest state and name", nil, Envelope{State: state(MaxState), Listener: strings.Repeat("n", MaxName)}, true},
		{"to the last byte", nil, Envelope{State: state(MaxPacket - headerSize - EnvelopeSize)}, true},
		{"a byte beyond", nil, Envelope{State: state(MaxPacket - headerSize - EnvelopeSize + 1)}, false},
		{"to the last byte, second", make([]Envelope, 1), Envelope{State: state(MaxPacket - headerSize - 2*EnvelopeSize)}, true},
		{"a byte beyond, second", make([]Envelope, 1), Envelope{State: state(MaxPacket - headerSize - 2*EnvelopeSize + 1)}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var p Packet
			for i := range test.first {
				if !p.Add(&test.first[i], i) {
					t.Fatal("full too early")
				}
			}
			before := bytes.Clone(p.encode())
			if got := p.Add(&test.then, 99); got != test.want {
				t.Errorf("Add: %v, want %v", got, test.want)
			}
			if test.want {
				if p.Len() != len(test.first)+1 || p.FD(len(test.first)) != 99 {
					t.Errorf("%d connections, the last with descriptor %d", p.Len(), p.FD(len(test.first)))
				}
				return
			}
			if !bytes.Equal(p.encode(), before) {
				t.Error("the packet has changed")
			}
		})
	}
}

func TestCallersBugsPanic(t *testing.T) {
	tests := []struct {
		name string
		call func(p *Packet)
	}{
		{"a name too long", func(p *Packet) { p.Add(&Envelope{Listener: strings.Repeat("n", MaxName+1)}, 0) }},
		{"AddLarge with a state in the envelope", func(p *Packet) { p.AddLarge(&Envelope{State: []byte{1}}, 0, 0) }},
		{"an empty packet sent", func(p *Packet) { _ = new(PacketConn).Send(-1, p) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			test.call(new(Packet))
		})
	}
}

// change returns a copy of packet with the bytes at offset replaced.
func change(packet []byte, offset int, to ...byte) []byte {
	packet = bytes.Clone(packet)
	copy(packet[offset:], to)
	return packet
}

func TestMalformedPackets(t *testing.T) {
	good := encoded(t, Envelope{ID: 1, Listener: "web", State: []byte("state")}, Envelope{ID: 2})
	first := headerSize + EnvelopeSize + len("web") + len("state")
	tests := []struct {
		name   string
		packet []byte
		fds    int
		want   string
	}{
		{"one byte", good[:1], 0, "1 bytes"},
		{"less than a header", good[:headerSize-1], 0, "7 bytes"},
		{"another version", change(good, 0, Version+1), 2, "protocol version 2, want 1"},
		{"kind 0", change(good, 1, 0), 2, "kind 0"},
		{"a kind of the future", change(good, 1, 200), 2, "kind 200"},
		{"no envelopes", change(good, 2, 0, 0), 0, "0 envelopes, want 1 to 64"},
		{"65 envelopes", change(good, 2, 65, 0), 64, "65 envelopes, want 1 to 64"},
		{"65535 envelopes", change(good, 2, 255, 255), 0, "65535 envelopes"},
		{"cut short", good[:len(good)-1], 2, "length 144 in 143 bytes"},
		{"longer than it says", append(bytes.Clone(good), 0), 2, "length 144 in 145 bytes"},
		{"an absurd length", change(good, 4, 255, 255, 255, 255), 2, "length 4294967295 in 144 bytes"},
		{"fewer envelopes than announced", change(good, 2, 3), 3, "envelope 2 of 3 is cut short"},
		{"more envelopes than announced", change(good, 2, 1), 1, "64 bytes after the last envelope"},
		{"an envelope too short", change(good, headerSize, EnvelopeSize-1), 2, "envelope 0 of 2 has length 63"},
		{"an envelope beyond the packet", change(good, first, EnvelopeSize+1), 2, "envelope 1 of 2 has length 65"},
		{"an envelope of absurd length", change(good, first, 0, 0, 0, 255), 2, "envelope 1 of 2 has length 4278190080"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := queue(t)
			post(t, a, test.packet, test.fds)
			var c PacketConn
			var p Packet
			err := c.Receive(b, &p)
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want malformed: …%s", err, test.want)
			}
			if p.Len() != 0 {
				t.Errorf("%d connections after an error", p.Len())
			}
			if err := c.Receive(b, &p); err != fdpass.ErrWouldBlock {
				t.Errorf("then: %v, want ErrWouldBlock", err)
			}
		})
	}
}

// post sends any bytes, with so many descriptors.
func post(t testing.TB, sock int, packet []byte, count int) {
	t.Helper()
	fds := make([]int, count)
	if count > 0 {
		fd := null(t)
		defer fdpass.CloseAll([]int{fd})
		for i := range fds {
			fds[i] = fd
		}
	}
	var s fdpass.Sender
	if err := s.Send(sock, packet, fds); err != nil {
		t.Fatal(err)
	}
}

// A wrong envelope is refused by who receives it from its sender, and not only by the
// one to whom it would be passed on.
func TestMalformedEnvelopes(t *testing.T) {
	good := encoded(t, Envelope{ID: 1, Listener: "web"})
	tests := []struct {
		name   string
		packet []byte
		want   string
	}{
		{"the name beyond the envelope", change(good, headerSize+4, 4), "name of 4 bytes in 67"},
		{"an unknown family of the remote address", change(good, headerSize+5, 5), "address families 5 and 0"},
		{"an unknown family of the local address", change(good, headerSize+6, 10), "address families 0 and 10"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := parsed(test.packet); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want malformed: …%s", err, test.want)
			}
			var e Envelope
			if err := e.decode(test.packet[headerSize:], new(names)); !errors.Is(err, ErrMalformed) {
				t.Errorf("decoded: %v, want malformed", err)
			}
		})
	}
}

func TestNamesAreBounded(t *testing.T) {
	var n names
	for i := range 4 * maxInterned {
		name := []byte{'n', byte(i), byte(i >> 8)}
		if got := n.intern(name); got != string(name) {
			t.Fatalf("%q became %q", name, got)
		}
		if len(n) > maxInterned {
			t.Fatalf("%d names are kept", len(n))
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	a, b := queue(t)
	e := Envelope{ID: 1, Listener: "web", State: make([]byte, 100),
		Remote: netip.MustParseAddrPort("192.0.2.1:4000"), Local: netip.MustParseAddrPort("[::]:80")}
	var c PacketConn
	var sent, got Packet
	var decoded Envelope
	pass := func() {
		for range MaxConns {
			if !sent.Add(&e, -1) {
				t.Fatal("full")
			}
		}
		for i := range MaxConns {
			fd, err := unix.Dup(a)
			if err != nil {
				t.Fatal(err)
			}
			sent.fds[i] = fd
		}
		if err := c.Send(a, &sent); err != nil {
			t.Fatal(err)
		}
		if err := c.Receive(b, &got); err != nil {
			t.Fatal(err)
		}
		for i := range got.Len() {
			if err := got.Decode(i, &decoded); err != nil {
				t.Fatal(err)
			}
		}
		got.Close()
	}
	if n := testing.AllocsPerRun(100, pass); n != 0 {
		t.Errorf("passing %d connections: %v allocations", MaxConns, n)
	}
	empty := func() { _ = c.Receive(b, &got) } // ErrWouldBlock, and nothing else matters
	if n := testing.AllocsPerRun(100, empty); n != 0 {
		t.Errorf("receiving nothing: %v allocations", n)
	}
}

func FuzzPacket(f *testing.F) {
	for _, golden := range goldenPackets() {
		f.Add(encoded(f, golden.envelopes...))
	}
	f.Add(encodedLarge(Envelope{ID: 1, Listener: "web"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > MaxPacket {
			b = b[:MaxPacket]
		}
		p, err := parsed(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v is not ErrMalformed", err)
			}
			return
		}
		var forwarded Packet
		for i := range p.Len() {
			if !forwarded.AddFrom(p, i) {
				t.Fatal("a valid packet cannot be forwarded")
			}
			var e Envelope
			if err := p.Decode(i, &e); err != nil {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("%v is not ErrMalformed", err)
				}
				continue
			}
			var again Packet
			var e2 Envelope
			if p.Large() && (p.Len() != 1 || len(e.State) > 0 || !p.Frozen(0)) {
				t.Fatalf("a large packet of %d connections, state of %d bytes, frozen: %v", p.Len(), len(e.State), p.Frozen(0))
			}
			if !again.Add(&e, -1) || again.Decode(0, &e2) != nil || !cmp.Equal(e, e2, compareEnvelopes) {
				t.Fatalf("%+v became %+v", e, e2)
			}
		}
		if !slices.Equal(forwarded.encode(), b) {
			t.Fatal("the forwarded packet differs")
		}
	})
}
