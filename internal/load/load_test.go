package load

import (
	"encoding/json"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func plan() Plan {
	return Plan{Mode: Echo, Address: "127.0.0.1:9", Conns: 4, Size: 64, Pipeline: 1, Requests: 100, Timeout: 20 * time.Second, Processes: 1}
}

// Every combination that makes no sense has its reason.
func TestPlanCheck(t *testing.T) {
	fine := plan()
	if err := fine.Check(); err != nil {
		t.Fatal(err)
	}
	for reason, change := range map[string]func(*Plan){
		"no mode":                  func(p *Plan) { p.Mode = "shout" },
		"nothing to do":            func(p *Plan) { p.Conns = 0 },
		"conns and idle":           func(p *Plan) { p.Conns = -1 },
		"pipeline is from":         func(p *Plan) { p.Pipeline = 0 },
		"nothing to pipeline":      func(p *Plan) { p.Churn, p.Pipeline = true, 2 },
		"rate is from":             func(p *Plan) { p.Rate = -1 },
		"rate needs conns":         func(p *Plan) { p.Conns, p.Idle, p.Rate = 0, 1, 1 },
		"churn needs conns":        func(p *Plan) { p.Conns, p.Idle, p.Churn = 0, 1, true },
		"requests need conns":      func(p *Plan) { p.Conns, p.Idle = 0, 1 },
		"exclude one another":      func(p *Plan) { p.Duration = time.Second },
		"without an end":           func(p *Plan) { p.Requests = 0 },
		"not negative":             func(p *Plan) { p.Warmup = -1 },
		"warmup goes with":         func(p *Plan) { p.Warmup = 1 },
		"timeout is more":          func(p *Plan) { p.Timeout = 0 },
		"size is for echo":         func(p *Plan) { p.Mode, p.Path = HTTP, "/" },
		"begin it with a slash":    func(p *Plan) { p.Mode, p.Size, p.Path = HTTP, 0, "index" },
		"are for http":             func(p *Plan) { p.Method = "PUT" },
		"NAME: VALUE":              func(p *Plan) { asHTTP(p); p.Headers = []string{"a b: c"} },
		"want NAME":                func(p *Plan) { asHTTP(p); p.Headers = []string{"a: b\r\nc: d"} },
		"the body says that":       func(p *Plan) { asHTTP(p); p.Headers = []string{"content-length: 3"} },
		"there is no method":       func(p *Plan) { asHTTP(p); p.Method = "GET /" },
		"no HTTP":                  func(p *Plan) { asHTTP(p); p.Method = "CONNECT" },
		"a status is":              func(p *Plan) { asHTTP(p); p.Status = 100 },
		"send in chunks":           func(p *Plan) { asHTTP(p); p.Chunked = true },
		"HEAD has no body":         func(p *Plan) { asHTTP(p); p.Method, p.Expect = "HEAD", new(Content) },
		"what Connection is":       func(p *Plan) { asHTTP(p); p.Churn, p.Close, p.Headers = true, true, []string{"Connection: close"} },
		"churn that the server":    func(p *Plan) { asHTTP(p); p.Close = true },
		"a body has":               func(p *Plan) { asHTTP(p); p.Body = &Content{Size: maxBody + 1} },
		"body: stat":               func(p *Plan) { asHTTP(p); p.Body = &Content{File: "nowhere"} },
		"is not a file":            func(p *Plan) { asHTTP(p); p.Expect = &Content{File: "/"} },
		"no body is sent":          func(p *Plan) { asHTTP(p); p.Expect = &Content{Sent: true} },
		"what an answer has":       func(p *Plan) { asHTTP(p); p.Body = &Content{Sent: true} },
		"size times pipeline":      func(p *Plan) { p.Size = maxEcho + 1 },
		"a line has":               func(p *Plan) { p.Mode, p.Size = Lines, 1 },
		"processes are from":       func(p *Plan) { p.Processes = 0 },
		"more processes":           func(p *Plan) { p.Processes = 5 },
		"want host:port":           func(p *Plan) { p.Address = "nowhere" },
		"want a port":              func(p *Plan) { p.Address = "127.0.0.1:0" },
		"want unix:///path":        func(p *Plan) { p.Address = "unix://" },
		"127.0.0.1:70000: address": func(p *Plan) { p.Address = "127.0.0.1:70000" },
	} {
		p := plan()
		change(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%v; want %q", err, reason)
		}
	}
}

func asHTTP(p *Plan) { p.Mode, p.Size, p.Path = HTTP, 0, "/" }

// The parts of a plan are together what it was, and dial from addresses of their
// own.
func TestPlanParts(t *testing.T) {
	p := plan()
	p.Conns, p.Idle, p.Requests, p.Rate, p.Processes = 10, 50_001, 1001, 100, 3
	var conns, idle int
	var requests int64
	var rate float64
	seen := make(map[string]bool)
	for n := range p.Processes {
		part := p.part(n)
		conns, idle, requests, rate = conns+part.Conns, idle+part.Idle, requests+part.Requests, rate+part.Rate
		if len(part.Sources) < 2 {
			t.Errorf("%d connections from %v", part.conns(), part.Sources)
		}
		for _, source := range part.Sources {
			if seen[source.String()] || !source.IsLoopback() {
				t.Errorf("%v again", source)
			}
			seen[source.String()] = true
		}
	}
	if conns != 10 || idle != 50_001 || requests != 1001 || rate < 99.9 || rate > 100.1 {
		t.Errorf("%d, %d, %d, %v", conns, idle, requests, rate)
	}
}

// A tally is the same after its way from one process to another.
func TestTallyTravels(t *testing.T) {
	a := newTally()
	a.Requests, a.Seconds, a.Series = 3, 1.5, []int64{1, 2}
	a.Errors[KindReset], a.Advice["do this"] = 2, true
	a.Latency.record(time.Millisecond)
	a.Latency.record(time.Hour) // counts as the longest
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	b := new(tally)
	if err := json.Unmarshal(text, b); err != nil {
		t.Fatal(err)
	}
	p := plan()
	if got, want := b.report(&p), a.report(&p); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	b.beside(a)
	b.then(a)
	if b.Requests != 9 || b.Seconds != 3 || !reflect.DeepEqual(b.Series, []int64{2, 4, 1, 2}) || b.Latency.TotalCount() != 6 || b.Errors[KindReset] != 6 {
		t.Errorf("%+v", b)
	}
}

// The request number n is due at the same time however many came before, without
// drift.
func TestDueAfter(t *testing.T) {
	for _, test := range []struct {
		n    int64
		rate float64
		want time.Duration
	}{{0, 5, 0}, {5, 5, time.Second}, {1, 3, 333333333}, {3e9, 3, 1e9 * time.Second}, {1, 1e9, 1}} {
		if got := dueAfter(test.n, test.rate); got != test.want {
			t.Errorf("number %d at %v a second: %v, want %v", test.n, test.rate, got, test.want)
		}
	}
}

// A server that stands still is charged for the requests that were due meanwhile:
// with one connection, and one request under way, those behind it wait.
func TestRateCountsFromWhenDue(t *testing.T) {
	const still = 300 * time.Millisecond
	server := serveConns(t, func(c net.Conn) {
		buffer, first := make([]byte, 64), true
		for {
			if _, err := io.ReadFull(c, buffer); err != nil {
				return
			}
			if first {
				time.Sleep(still) // this is what is measured
				first = false
			}
			if _, err := c.Write(buffer); err != nil {
				return
			}
		}
	})
	p := plan()
	p.Address, p.Conns, p.Rate, p.Requests = server, 1, 1000, 600
	report, err := Run(t.Context(), &p, nil, nil)
	if err != nil || !report.OK {
		t.Fatalf("%+v, %v", report, err)
	}
	// 300 of the 600 were due while it stood still, and wait half of that time on
	// average. Those that were sent late count as late.
	if report.Latency.P90 < int64(still/2) {
		t.Errorf("%+v", report.Latency)
	}
}

// serveConns serves connections, each on its goroutine, until the test ends.
func serveConns(t testing.TB, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close() // once
		all.Wait()
	})
	return listener.Addr().String()
}

func echoAll(c net.Conn) { _, _ = io.Copy(c, c) } // the client sees what it lacks

// Steady requests allocate nothing: the benchmark says so for one round trip, at
// this end.
func BenchmarkRoundTrip(b *testing.B) {
	p := plan()
	p.Address, p.Requests, p.Conns = serveConns(b, echoAll), int64(b.N), 1
	b.ReportAllocs()
	if report, err := Run(b.Context(), &p, nil, nil); err != nil || report.Requests != int64(b.N) {
		b.Fatalf("%+v, %v", report, err)
	}
}
