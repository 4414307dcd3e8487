package ipc

import (
	"errors"
	"maps"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// goldenMessages has every kind with every field: those of the table that need
// more than their type first.
func goldenMessages() []Message {
	messages := []Message{
		Hello{Protocol: 1, App: "echo", MaxConns: 1000, IdleTimeoutMS: 60_000, QueueTimeoutMS: 5_000, Report: ReportIDs},
		Hello{Protocol: 1, App: "echo", MemoryBytes: 64 << 20, MemoryIsDefault: true},
		Hello{Protocol: 1, TLS: true, TLSHandshakeTimeoutMS: 10_000, Transports: []Transport{
			{Number: 1, TLS: true},
			{Number: 2, TLS: true, Cert: "example.org", Proxy: true, Trust: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}},
			{Number: 255, Proxy: true, Trust: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		}},
		Ready{Protocol: 1},
		Ready{Protocol: 1, TLS: true, ALPN: []string{"h2", "http/1.1"}, Proxy: true},
		Ready{Protocol: 1, Capacity: 19_000, Moves: true, Closes: true},
		Closed{},
		Closed{Count: 3},
		Closed{IDs: []uint64{1, 2, math.MaxUint64}},
		Drain{Mode: DrainFinish, DeadlineMS: 30_000},
		Drain{Mode: DrainMove, DeadlineMS: 30_000},
		Move{Count: 100},
		Moved{Staying: 3},
		Move{ID: 7, Count: 100},
		Moved{ID: 7, Count: 97, Staying: 3},
		Move{ID: 7},
		Hello{Protocol: 1, AccessLog: AccessCombined},
		Hello{Protocol: 1, Further: Place{Offset: 2048, Length: 4096}},
		Ready{Protocol: 1, AccessLog: true},
		AccessLog{ID: 1, Format: AccessJSON},
		AccessLog{ID: 2},
		AccessLogTaken{ID: 2},
		Ready{Protocol: 1, Asks: []string{AskList, AskStacks, AskProfile, AskLogLevel}},
		List{ID: 1, Limit: 10},
		List{ID: 2, Cursor: 1024, Limit: MaxListed, Listener: "web"},
		Listed{ID: 1, Cursor: 1024, Connections: []ListedConn{
			{Position: 3, ID: 1, Listener: "web", Remote: netip.MustParseAddrPort("192.0.2.1:40000"), Local: netip.MustParseAddrPort("192.0.2.2:443"),
				AgeMS: new(int64(61_000)), IdleMS: new(int64(0)), Held: 8192, Phase: "open", TLS: true, Movable: true, About: "since the first request"},
			{Position: 1023, ID: 2},
		}},
		Listed{ID: 2, Unlisted: 3},
		Stacks{ID: 3},
		Profile{ID: 4, Kind: ProfileCPU, Seconds: 10},
		Profile{ID: 5, Kind: ProfileHeap},
		Profile{ID: 4},
		LogLevel{ID: 6, Level: "debug"},
		LogLevel{ID: 7, Level: LevelDefault},
		LogLevel{ID: 8},
		Answer{ID: 3, Memory: true},
		Answer{ID: 4, Error: "a profile is under way"},
		Answer{ID: 6, Level: "debug"},
		Metrics{Series: []Series{
			{Name: "orders_total", Kind: SeriesCounter, Help: "orders taken", Labels: map[string]string{"name": "a\nb", "kind": "book"}},
			{Name: "carts", Kind: SeriesGauge, Help: "carts that are not empty"},
			{Name: "order_seconds", Kind: SeriesHistogram, Help: "how long an order takes", Bounds: []float64{0.1, 0.5, 2}},
		}},
	}
	for _, m := range emptyMessages() {
		if !slices.ContainsFunc(messages, func(other Message) bool { return other.typeName() == m.typeName() }) {
			messages = append(messages, m)
		}
	}
	return messages
}

// emptyMessages has one of each kind.
func emptyMessages() []Message {
	var messages []Message
	for _, kind := range slices.Sorted(maps.Keys(parsers)) {
		m, err := parsers[kind]([]byte("{}"))
		if err != nil {
			panic(err)
		}
		messages = append(messages, m)
	}
	return messages
}

func TestMessagesSurvive(t *testing.T) {
	for _, m := range slices.Concat(goldenMessages(), emptyMessages(), []Message{Unknown{Type: "a \"kind\" of\x00the\u2028future"}}) {
		b, err := EncodeMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseMessage(b)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%#v became %s and then %#v, %v", m, b, got, err)
		}
	}
}

func TestEveryKindIsParsed(t *testing.T) {
	for kind, parser := range parsers {
		m, err := parser([]byte("{}"))
		if err != nil || m.typeName() != kind {
			t.Errorf("the parser of %q returns a %q, %v", kind, m.typeName(), err)
		}
	}
}

func TestParseMessage(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want Message // nil: malformed
		err  string
	}{
		{"a field of the future", `{"type":"stop","why":"because"}`, Stop{}, ""},
		{"a kind of the future", `{"type":"sing","song":1}`, Unknown{Type: "sing"}, ""},
		{"spaces", " {\n\"type\" : \"stop\" }\n", Stop{}, ""},
		{"type comes last", `{"protocol":1,"type":"ready"}`, Ready{Protocol: 1}, ""},
		{"an optional field is null", `{"type":"ready","protocol":1,"capacity":null}`, Ready{Protocol: 1}, ""},
		{"the longest", `{"type":"stop"}` + strings.Repeat(" ", MaxMessage-15), Stop{}, ""},
		{"longer than the longest", `{"type":"stop"}` + strings.Repeat(" ", MaxMessage-14), nil, "more than 16384 bytes"},
		{"nothing", ``, nil, "parse message"},
		{"not JSON", `stop`, nil, "parse message"},
		{"not an object", `"stop"`, nil, "parse message"},
		{"null", `null`, nil, "no type"},
		{"two objects", `{"type":"stop"}{"type":"stop"}`, nil, "parse message"},
		{"cut short", `{"type":"stop"`, nil, "parse message"},
		{"no type", `{"protocol":1}`, nil, "no type"},
		{"an empty type", `{"type":""}`, nil, "no type"},
		{"a type that is no string", `{"type":1}`, nil, "parse message"},
		{"a field of another type", `{"type":"ready","protocol":"one"}`, nil, "parse ready"},
		{"a number that is no integer", `{"type":"closed","count":1.5}`, nil, "parse closed"},
		{"a number too large", `{"type":"closed","count":99999999999999999999}`, nil, "parse closed"},
		{"a negative id", `{"type":"closed","ids":[-1]}`, nil, "parse closed"},
		{"a negative count", `{"type":"closed","count":-1}`, nil, "parse closed: malformed: negative number"},
		{"a negative capacity", `{"type":"ready","protocol":1,"capacity":-1}`, nil, "negative number"},
		{"a negative deadline", `{"type":"drain","mode":"finish","deadline_ms":-1}`, nil, "negative number"},
		{"a negative time for handshakes", `{"type":"hello","tls_handshake_timeout_ms":-1}`, nil, "negative number"},
		{"a transport beyond 255", `{"type":"hello","transports":[{"number":256}]}`, nil, "parse hello"},
		{"a network that is none", `{"type":"hello","transports":[{"number":1,"trust":["10.0.0.0/33"]}]}`, nil, "parse hello"},
		{"keys, and a field of the future", `{"type":"ticket-keys","count":7}`, TicketKeys{}, ""},
		{"an access log, and a field of the future", `{"type":"access-log","id":3,"format":"json","level":9}`, AccessLog{ID: 3, Format: AccessJSON}, ""},
		{"no access log any more", `{"type":"access-log","id":3}`, AccessLog{ID: 3}, ""},
		{"an access log with a negative id", `{"type":"access-log","id":-3}`, nil, "parse access-log"},
		{"a negative limit", `{"type":"hello","max_conns":-1}`, nil, "negative number"},
		{"a list without a limit", `{"type":"list","id":3}`, List{ID: 3}, ""},
		{"a list of fewer than none", `{"type":"list","id":3,"limit":-1}`, nil, "negative number"},
		{"a list from before the first", `{"type":"list","id":3,"cursor":-1}`, nil, "parse list"},
		{"an age that is no number", `{"type":"listed","id":3,"connections":[{"age_ms":NaN}]}`, nil, "malformed"},
		{"a negative age", `{"type":"listed","id":3,"connections":[{"age_ms":-1}]}`, nil, "negative number"},
		{"a negative idle time", `{"type":"listed","id":3,"connections":[{"idle_ms":-1}]}`, nil, "negative number"},
		{"fewer bytes than none", `{"type":"listed","id":3,"connections":[{"held":-1}]}`, nil, "negative number"},
		{"an address that is none", `{"type":"listed","id":3,"connections":[{"remote":"localhost"}]}`, nil, "parse listed"},
		{"a profile of less than no time", `{"type":"profile","id":3,"kind":"cpu","seconds":-1}`, nil, "negative number"},
		{"a profile of a kind of the future", `{"type":"profile","id":3,"kind":"sleep"}`, Profile{ID: 3, Kind: "sleep"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseMessage([]byte(test.in))
			if test.want == nil {
				if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %#v, %v; want malformed: …%s", got, err, test.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %#v, %v; want %#v", got, err, test.want)
			}
		})
	}
}

func TestMessagesAreBounded(t *testing.T) {
	ids := slices.Repeat([]uint64{math.MaxUint64}, MaxIDs)
	if _, err := EncodeMessage(Closed{Count: math.MaxInt, IDs: ids}); err != nil {
		t.Errorf("%d ids: %v", len(ids), err)
	}
	if b, err := EncodeMessage(Closed{IDs: slices.Repeat(ids, 2)}); err == nil {
		t.Errorf("%d ids in a message of %d bytes", 2*len(ids), len(b))
	}
}

// What comes with a message is known from the message alone.
func TestWhatBringsADescriptor(t *testing.T) {
	for _, m := range append(emptyMessages(), Hello{TLS: true}, AccessLog{ID: 1, Format: AccessJSON}, Answer{ID: 1, Memory: true}, Unknown{Type: "sing"}) {
		hello, isHello := m.(Hello)
		_, isKeys := m.(TicketKeys)
		access, isAccess := m.(AccessLog)
		answer, isAnswer := m.(Answer)
		if got, want := BringsDescriptor(m), isKeys || isHello && hello.TLS || isAccess && access.Format != "" || isAnswer && answer.Memory; got != want {
			t.Errorf("%#v brings a descriptor: %t, want %t", m, got, want)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, m := range slices.Concat(goldenMessages(), emptyMessages()) {
		b, err := EncodeMessage(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMessage(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || m != nil {
				t.Fatalf("%#v, %v is not ErrMalformed", m, err)
			}
			return
		}
		if m.negative() {
			t.Fatalf("%s is %#v", b, m)
		}
		again, err := EncodeMessage(m)
		if err != nil {
			return // escaping made it too long
		}
		got, err := ParseMessage(again)
		if err != nil || !cmp.Equal(got, m, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{}, netip.AddrPort{})) {
			t.Fatalf("%s became %#v, then %s, then %#v, %v", b, m, again, got, err)
		}
	})
}
