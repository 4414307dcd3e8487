package worker

import (
	"go/parser"
	"go/token"
	"net"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The kind of a member follows from its handler, and so does how its loop waits.
func TestKindFollowsFromTheHandler(t *testing.T) {
	session := DataFunc(func(*Conn, []byte) (int, error) { return 0, nil })
	stream := Streams(func(net.Listener) error { return nil })
	for _, test := range []struct {
		name           string
		handler        Handler
		streams, parks bool
	}{
		{"sessions", session, false, false},
		{"sessions of several listeners", ByListener(map[string]Handler{"a": session, "": session}), false, false},
		{"streams", stream, true, true},
		{"streams of several listeners", ByListener(map[string]Handler{"a": stream, "": stream}), true, true},
		{"both", ByListener(map[string]Handler{"a": stream, "": session}), true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newTestMember(t, test.handler)
			defer m.close()
			if _, streams := m.kind.(*streams); streams != test.streams || (m.intake.streams != nil) != test.streams {
				t.Errorf("its kind is %T", m.kind)
			}
			if m.loop.parks != test.parks {
				t.Errorf("it parks: %v", m.loop.parks)
			}
		})
	}
}

// A loop stands without a member: no field of it, and nothing that its fields lead to,
// is one, or a part of one that can act.
func TestLoopKnowsNoMember(t *testing.T) {
	above := map[reflect.Type]bool{}
	for _, part := range []any{member{}, intake{}, mover{}, parcel{}, drain{}, capacity{}, sessions{}, streams{}, stream{}, streamListener{}} {
		above[reflect.TypeOf(part)] = true
	}
	seen := map[reflect.Type]bool{}
	var follow func(path string, typ reflect.Type)
	follow = func(path string, typ reflect.Type) {
		if above[typ] {
			t.Errorf("%s leads to the member", path)
		}
		if seen[typ] {
			return
		}
		seen[typ] = true
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				follow(path+"."+typ.Field(i).Name, typ.Field(i).Type)
			}
		case reflect.Map:
			follow(path, typ.Key())
			follow(path, typ.Elem())
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
			follow(path, typ.Elem())
		}
	}
	follow("loop", reflect.TypeFor[loop]())
	if !seen[reflect.TypeFor[Conn]()] || !seen[reflect.TypeFor[ledger]()] {
		t.Error("nothing was followed")
	}
}

// The protocol is the member's, and those files' that make something for it; of it, a
// loop knows what an envelope says about a socket that it adopts, and the layout of what it
// counts for people.
func TestProtocolIsTheMembers(t *testing.T) {
	want := []string{
		"adopt.go", "announced.go", "capacity.go", "control.go", "forworkertest.go", "intake.go", "ledger.go", "lister.go", "localworker.go", "member.go",
		"meter.go", "metric.go", "mover.go", "orders.go", "packet.go", "parcel.go", "questions.go", "streams.go", "testdoor.go", "worker.go",
	}
	var got []string
	names, err := filepath.Glob("*.go")
	must(t, err)
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		must(t, err)
		for _, i := range file.Imports {
			if i.Path.Value == `"github.com/usher-go/usher/ipc"` && !strings.HasSuffix(name, "_test.go") {
				got = append(got, name)
			}
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("files that import the protocol: %v, want %v", got, want)
	}
}

func TestCapacity(t *testing.T) {
	for _, test := range []struct {
		name                string
		capacity            capacity
		load                load
		free, each, missing int
	}{
		{"nothing is there", capacity{descriptors: 100, accepted: 100}, load{}, 100, 2, 0},
		{"nothing is dialled", capacity{descriptors: 100, accepted: 100}, load{accepted: 60, streaming: 30}, 10, 1, 0},
		{"the next one may dial one", capacity{descriptors: 100, accepted: 100}, load{accepted: 10, dialled: 10}, 80, 2, 50},
		{"so much is known", capacity{descriptors: 100, accepted: 100}, load{accepted: 20, dialled: 20}, 60, 2, 50},
		{"a pool of few", capacity{descriptors: 100, accepted: 100}, load{accepted: 40, dialled: 2}, 58, 2, 31},
		{"there is more room than is offered", capacity{descriptors: 100, accepted: 30}, load{accepted: 10, dialled: 10}, 80, 2, 0},
		{"streams are there too", capacity{descriptors: 100, accepted: 100}, load{accepted: 10, dialled: 10, streaming: 20}, 60, 2, 40},
		{"more than there is room for", capacity{descriptors: 100, accepted: 100}, load{accepted: 20, dialled: 90}, -10, 6, 80},
	} {
		t.Run(test.name, func(t *testing.T) {
			free, each, missing := test.capacity.free(test.load), test.load.perClient(), test.capacity.missing(test.load)
			if free != test.free || each != test.each || missing != test.missing {
				t.Errorf("%d free, %d for each client, %d missing; want %d, %d, %d", free, each, missing, test.free, test.each, test.missing)
			}
		})
	}
}
