package ipc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files under testdata")

// The golden files are for workers in any language to be tested against; so
// they are at the top of the repository.
const goldenFolder = "../testdata/ipc"

type goldenPacket struct {
	name      string
	envelopes []Envelope
}

func goldenPackets() []goldenPacket {
	plain := Envelope{ID: 1, Accepted: 123456789012345,
		Remote: netip.MustParseAddrPort("192.0.2.1:40000"), Local: netip.MustParseAddrPort("0.0.0.0:8888")}
	with := func(change func(e *Envelope)) []Envelope {
		e := plain
		change(&e)
		return []Envelope{e}
	}
	batch := make([]Envelope, MaxConns)
	for i := range batch {
		batch[i] = plain
		batch[i].ID = uint64(i + 1)
		batch[i].Remote = netip.AddrPortFrom(plain.Remote.Addr(), uint16(40000+i))
	}
	return []goldenPacket{
		{"ipv4", []Envelope{plain}},
		{"ipv6", with(func(e *Envelope) {
			e.Remote = netip.MustParseAddrPort("[2001:db8::1]:40000")
			e.Local = netip.MustParseAddrPort("[2001:db8::2]:443")
		})},
		{"ipv6-scope", with(func(e *Envelope) {
			e.Remote = netip.MustParseAddrPort("[fe80::1%2]:40000")
			e.Local = netip.MustParseAddrPort("[::]:8888")
		})},
		{"dual-stack", with(func(e *Envelope) { e.Local = netip.MustParseAddrPort("[::]:8888") })},
		{"unix", with(func(e *Envelope) { e.Remote, e.Local = netip.AddrPort{}, netip.AddrPort{} })},
		{"listener", with(func(e *Envelope) { e.Listener = "web" })},
		{"state", with(func(e *Envelope) { e.Listener, e.State = "web", []byte{0, 1, 2, 0xfe, 0xff} })},
		{"transport", with(func(e *Envelope) { e.Listener, e.Transport = "web", 255 })},
		{"largest-id", with(func(e *Envelope) { e.ID = 1<<64 - 1 })},
		{"64-connections", batch},
	}
}

// described is what a golden file says about a packet.
type described struct {
	Descriptors int                 `json:"descriptors"`
	Envelopes   []describedEnvelope `json:"envelopes"`
}

type describedEnvelope struct {
	ID       string `json:"id"` // a string: JavaScript's numbers end at 2^53
	Accepted int64  `json:"accepted_ns"`
	Remote   string `json:"remote"` // empty: a Unix socket
	Local    string `json:"local"`
	Listener string `json:"listener"`
	State    string `json:"state"` // in hexadecimal
	// Transport is left out where it is 0.
	Transport uint8 `json:"transport,omitempty"`
}

func describe(t *testing.T, p *Packet) described {
	t.Helper()
	d := described{Descriptors: len(p.Descriptors())}
	for i := range p.Len() {
		var e Envelope
		if err := p.Decode(i, &e); err != nil {
			t.Fatal(err)
		}
		address := func(a netip.AddrPort) string {
			if !a.IsValid() {
				return ""
			}
			return a.String()
		}
		d.Envelopes = append(d.Envelopes, describedEnvelope{
			ID: fmt.Sprint(e.ID), Accepted: int64(e.Accepted), Remote: address(e.Remote), Local: address(e.Local),
			Listener: e.Listener, State: hex.EncodeToString(e.State), Transport: e.Transport,
		})
	}
	return d
}

// compareGolden compares got with a golden file, or writes that.
func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join(goldenFolder, name)
	if *update {
		if err := os.MkdirAll(goldenFolder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./ipc -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: the format has changed (-file +now):\n%s", path, diff)
	}
}

func TestGoldenPackets(t *testing.T) {
	for _, golden := range goldenPackets() {
		t.Run(golden.name, func(t *testing.T) {
			packet := encoded(t, golden.envelopes...)
			compareGolden(t, "packet-"+golden.name+".hex", dump(packet))

			p, err := parsed(packet)
			if err != nil {
				t.Fatal(err)
			}
			description, err := json.MarshalIndent(describe(t, p), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, "packet-"+golden.name+".json", append(description, '\n'))
		})
	}
}

// The one packet that has more descriptors than envelopes, and the memfd that
// comes with it.
func TestGoldenLargePacket(t *testing.T) {
	e := goldenPackets()[0].envelopes[0]
	e.Listener = "web"
	packet := encodedLarge(e)
	compareGolden(t, "large-state.hex", dump(packet))
	p, err := parsed(packet)
	if err != nil {
		t.Fatal(err)
	}
	description, err := json.MarshalIndent(describe(t, p), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, "large-state.json", append(description, '\n'))
}

// dump is sixteen bytes a line, as bytes.fromhex and xxd -r -p read them.
func dump(packet []byte) []byte {
	var b bytes.Buffer
	for len(packet) > 0 {
		n := min(16, len(packet))
		fmt.Fprintf(&b, "% x\n", packet[:n])
		packet = packet[n:]
	}
	return b.Bytes()
}

// Every golden packet on disk is read as its description says, even one that is no
// longer in the table.
func TestGoldenPacketsOnDisk(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(goldenFolder, "packet-*.hex"))
	if err != nil || len(paths) != len(goldenPackets()) {
		t.Fatalf("%d golden packets, %v; want %d", len(paths), err, len(goldenPackets()))
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		packet, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		p, err := parsed(packet)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		text, err = os.ReadFile(strings.TrimSuffix(path, "hex") + "json")
		if err != nil {
			t.Fatal(err)
		}
		var want described
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, describe(t, p)); diff != "" {
			t.Errorf("%s (-described +read):\n%s", path, diff)
		}
	}
}

func TestGoldenMessages(t *testing.T) {
	var b bytes.Buffer
	for _, m := range goldenMessages() {
		line, err := EncodeMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	compareGolden(t, "control.jsonl", b.Bytes())
}

func TestGoldenEnvironment(t *testing.T) {
	base := []string{"PATH=/bin", "USHER_DRAIN_TIMEOUT=30s", "USHER_SLOT=7", "HOME=/root"}
	environ := Environ(base, Identity{Protocol: Version, Slot: 3, Generation: 2})
	environ = append(environ, MetricsEnviron(Place{Offset: 6144, Length: MetricsSize}))
	compareGolden(t, "environment.txt", []byte(strings.Join(environ, "\n")+"\n"))
}
