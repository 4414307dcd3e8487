package tlsrecord

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/fieldtest"
)

var update = flag.Bool("update", false, "write testdata anew")

func TestFrozenKnowsEveryField(t *testing.T) {
	const question = "does it go into a frozen state?"
	fieldtest.Known(t, Layer{}, map[string]string{
		"quiet":    "no bytes",
		"read":     "frozen",
		"write":    "frozen",
		"entry":    "its ciphers are built again",
		"cache":    "the new process's",
		"suite":    "frozen, by its number",
		"role":     "frozen",
		"peerDone": "frozen",
		"selfDone": "frozen",
		"fault":    "frozen",
		"alert":    "frozen",
		"owed":     "frozen",
		"idle":     "frozen",
		"message":  "frozen",
	}, question)
	fieldtest.Known(t, half{}, map[string]string{"secret": "frozen", "seq": "frozen", "blocks": "frozen"}, question)
	fieldtest.Known(t, message{}, map[string]string{"have": "frozen", "header": "frozen"}, question)
}

// frozenCases are layers in all sorts of states.
func frozenCases(t testing.TB) map[string]*Layer {
	layers := make(map[string]*Layer)
	for i := range suites {
		name := tls.CipherSuiteName(suites[i].id)
		for role, end := range []string{Server: "server", Client: "client"} {
			layers[name+" "+end] = layerOf(t, Role(role), suites[i].id, 1<<40, 1<<50+7)
		}
	}
	with := func(name string, i int, change func(l *Layer)) {
		l := layerOf(t, Client, suites[i].id, 3, 4)
		change(l)
		layers[name] = l
	}
	with("half a ticket", 0, func(l *Layer) { l.message = message{4, [4]byte{newSessionTicket, 1, 2, 3}} })
	with("the longest ticket to come", 0, func(l *Layer) { l.message = message{4, [4]byte{newSessionTicket, 2, 1, 9}} })
	with("half a header", 0, func(l *Layer) { l.message = message{2, [4]byte{keyUpdate}} })
	with("half a HelloRequest", 3, func(l *Layer) { l.message = message{3, [4]byte{helloRequest}} })
	with("an answer owed", 0, func(l *Layer) { l.owed, l.idle = owedAnswer, 16 })
	with("a request owed", 1, func(l *Layer) { l.owed, l.read.blocks = owedAsk, 1<<35 })
	with("both ends closed", 2, func(l *Layer) { l.peerDone, l.selfDone = true, true })
	with("the peer's alert", 4, func(l *Layer) { l.fault, l.alert, l.selfDone = faultPeer, 40, true })
	with("an alert told", 4, func(l *Layer) { l.fault, l.alert = faultTold, 80 })
	with("too much without data", 5, func(l *Layer) { l.fault, l.idle = faultIdle, 17 })
	return layers
}

func TestFreezeThaw(t *testing.T) {
	for name, l := range frozenCases(t) {
		state := l.Freeze([]byte("before"))
		state, ok := bytes.CutPrefix(state, []byte("before"))
		if !ok {
			t.Fatal("Freeze does not append")
		}
		thawed, err := Thaw(state)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if *thawed != *l {
			t.Errorf("%s: another one thaws", name)
		}
		clear(state)
		if *thawed != *l {
			t.Errorf("%s: the state is referred to", name)
		}
	}
}

// The format stays, so that workers of two versions understand each other.
func TestFrozenFormat(t *testing.T) {
	const file = "testdata/frozen.golden"
	layers := frozenCases(t)
	if *update {
		var text strings.Builder
		for _, name := range sortedNames(layers) {
			fmt.Fprintf(&text, "%s: %x\n", name, layers[name].Freeze(nil))
		}
		if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
		state, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Thaw(state)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if layers[name] == nil || *l != *layers[name] {
			t.Errorf("%s: another one thaws; a format that changes needs a version of its own", name)
		}
		delete(layers, name)
	}
	if len(layers) > 0 {
		t.Errorf("%d are missing: go test -run FrozenFormat -update", len(layers))
	}
}

func TestThawRefuses(t *testing.T) {
	client := layerOf(t, Client, suites[0].id, 1, 2).Freeze(nil)
	server := layerOf(t, Server, suites[0].id, 1, 2).Freeze(nil)
	client12 := layerOf(t, Client, suites[3].id, 1, 2).Freeze(nil)
	server12 := layerOf(t, Server, suites[3].id, 1, 2).Freeze(nil)
	set := func(state []byte, at int, b ...byte) []byte {
		state = bytes.Clone(state)
		copy(state[at:], b)
		return state
	}
	tests := []struct {
		name  string
		state []byte
		want  error
	}{
		{"nothing", nil, errFrozenVersion},
		{"version 0", set(server, 0, 0), errFrozenVersion},
		{"version 2", set(server, 0, 2), errFrozenVersion},
		{"no more than a version", server[:1], errFrozenLength},
		{"less than a header", server[:46], errFrozenLength},
		{"a header", server[:47], errFrozenLength},
		{"a byte less", server[:len(server)-1], errFrozenLength},
		{"a byte more", append(bytes.Clone(server), 0), errFrozenLength},
		{"a suite with longer secrets", set(server, 2, binary.LittleEndian.AppendUint16(nil, tls.TLS_AES_256_GCM_SHA384)...), errFrozenLength},
		{"role 2", set(server, 1, 2), errFrozenState},
		{"close_notify twice", set(server, 4, 2), errFrozenState},
		{"sealed twice", set(server, 5, 255), errFrozenState},
		{"a fault that is none", set(server, 6, byte(numFaults)), errFrozenState},
		{"wiped", set(server, 6, byte(faultWiped)), errFrozenState},
		{"an alert without a fault", set(server, 7, 40), errFrozenState},
		{"an alert with another fault", set(server, 6, byte(faultMAC), 40), errFrozenState},
		{"owed what is not", set(server, 8, 3), errFrozenState},
		{"owed in 1.2", set(server12, 8, 1), errFrozenState},
		{"17 without data", set(server, 9, 17), errFrozenState},
		{"18 without data, and failed", set(set(server, 9, 18), 6, byte(faultIdle)), errFrozenState},
		{"a header of five bytes", set(client, 10, 5, newSessionTicket, 0, 0, 20), errFrozenState},
		{"a header of five bytes, and failed", set(set(client, 10, 5, newSessionTicket, 0, 0, 20), 6, byte(faultMAC)), errFrozenState},
		{"a header that is not there", set(client, 10, 0, newSessionTicket), errFrozenState},
		{"a header that is longer", set(client, 10, 2, newSessionTicket, 0, 0, 20), errFrozenState},
		{"a whole message", set(client, 10, 4, newSessionTicket, 0, 0, 0), errFrozenState},
		{"a ticket that is too long", set(client, 10, 4, newSessionTicket, 2, 1, 0xa), errFrozenState},
		{"a ticket to a server", set(server, 10, 4, newSessionTicket, 0, 0, 20), errFrozenState},
		{"a KeyUpdate of two bytes", set(server, 10, 4, keyUpdate, 0, 0, 2), errFrozenState},
		{"a KeyUpdate in 1.2", set(client12, 10, 1, keyUpdate), errFrozenState},
		{"a ClientHello in 1.2", set(server12, 10, 1, clientHello), errFrozenState},
		{"a whole HelloRequest", set(client12, 10, 4, helloRequest), errFrozenState},
	}
	for _, test := range tests {
		l, err := Thaw(test.state)
		if !errors.Is(err, test.want) || l != nil || !strings.HasPrefix(err.Error(), "tlsrecord: thaw: ") {
			t.Errorf("%s: %v, not %v", test.name, err, test.want)
		}
	}
	for _, state := range [][]byte{client, server, client12, server12} {
		if _, err := Thaw(state); err != nil {
			t.Error(err)
		}
	}
	if _, err := Thaw(set(server, 2, 0, 0)); err == nil || !strings.Contains(err.Error(), "0x0000") {
		t.Errorf("no suite: %v", err)
	}
}
