// Package load drives a server and measures it: many connections on one event
// loop, each answer verified, latencies in HDR histograms. It is what usher bench
// runs, and knows nothing of flags and little of printing.
//
//	Plan ──► Run ──► Report          of one server
//	     ──► Compare ──► Comparison  of two, in turn
//
// A plan is carried out by this process, or shared by several, of which each calls
// Part; in each there is one loop.
//
// A connection has a place (place.go), which dials again when it is lost, and with TLS
// a tunnel between the two (tunnel.go). What is sent and how an answer is verified is a protocol's (protocol.go). The engine
// (engine.go) says when: at once when an answer has come, or by the clock, with
// latencies from when a request was due: a server that stands still is then not
// spared the requests that it kept from being sent (coordinated omission).
package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/usher-go/usher/worker"
)

// The modes: what is sent, and which answer is right.
const (
	Echo  = "echo"  // bytes; the same come back
	Lines = "lines" // a line; a line comes back that ends with it
	HTTP  = "http"  // a request; an answer to it, whole, with the status and the body that are expected
)

// Plan says what to do. Check has to pass first.
type Plan struct {
	Mode     string        `json:"mode"`
	Address  string        `json:"address"`  // host:port, or unix:///path
	Conns    int           `json:"conns"`    // that are busy
	Size     int           `json:"size"`     // bytes of a request; 0 for HTTP
	Pipeline int           `json:"pipeline"` // requests that may be under way on a connection
	Duration time.Duration `json:"duration"` // how long to measure; 0: until Requests are done
	Requests int64         `json:"requests"` // how many answers; 0: for Duration
	Warmup   time.Duration `json:"warmup"`   // before Duration, and not measured
	Rate     float64       `json:"rate"`     // requests a second in all, whatever the answers do; 0: the next when one has come
	Churn    bool          `json:"churn"`    // a connection for each request
	Idle     int           `json:"idle"`     // connections that are held, and probed at the end
	Timeout  time.Duration `json:"timeout"`  // for connecting, and for progress when an answer is due
	Path     string        `json:"path"`     // of HTTP requests, as what follows
	Method   string        `json:"method"`   // "": GET, or POST if there is a body
	Headers  []string      `json:"headers"`  // lines without their end
	Body     *Content      `json:"body"`     // nil: none
	Chunked  bool          `json:"chunked"`  // the body is sent in chunks
	Expect   *Content      `json:"expect"`   // of answers whose status is right; nil: whatever comes, as long as it says
	Status   int           `json:"status"`   // that is right; 0: 200 to 399
	Close    bool          `json:"close"`    // with Churn: requests say Connection: close, and the server ends the connection
	Sources  []netip.Addr  `json:"sources"`  // addresses to dial from, in turn; none: the kernel's choice
	TLS      *TLS          `json:"tls"`      // nil: connections are plain

	Processes int `json:"processes"`
}

// The bounds of a plan.
const (
	maxConns     = 10_000_000
	maxPipeline  = 4096
	maxEcho      = 16 << 20 // in all requests that are under way on a connection
	maxLine      = 64 << 10
	MaxProcesses = 256
)

// Check says what is wrong with a plan.
func (p *Plan) Check() error {
	if _, err := p.destination(); err != nil {
		return err
	}
	for _, rule := range []struct {
		broken bool
		reason string
	}{
		{p.Mode != Echo && p.Mode != Lines && p.Mode != HTTP, fmt.Sprintf("there is no mode %q: echo, lines or http", p.Mode)},
		{p.Conns < 0 || p.Conns > maxConns || p.Idle < 0 || p.Idle > maxConns, fmt.Sprintf("conns and idle are at most %d", maxConns)},
		{p.Conns == 0 && p.Idle == 0, "there is nothing to do: conns and idle are both 0"},
		{p.Pipeline < 1 || p.Pipeline > maxPipeline, fmt.Sprintf("pipeline is from 1 to %d", maxPipeline)},
		{p.Churn && p.Pipeline > 1, "churn has one request on a connection, so there is nothing to pipeline"},
		{p.Churn && p.Conns == 0, "churn needs conns: how many at a time"},
		{p.Rate < 0 || p.Rate > 1e9, "rate is from 0 to 1e9 a second"},
		{p.Rate > 0 && p.Conns == 0, "rate needs conns to send on"},
		{p.Duration < 0 || p.Requests < 0 || p.Warmup < 0, "duration, requests and warmup are not negative"},
		{p.Duration > 0 && p.Requests > 0, "duration and requests exclude one another: which of them is to end it?"},
		{p.Duration == 0 && p.Requests == 0, "without an end: duration or requests"},
		{p.Requests > 0 && p.Warmup > 0, "warmup goes with duration: requests are all measured"},
		{p.Requests > 0 && p.Conns == 0, "requests need conns to send on"},
		{p.Timeout <= 0, "timeout is more than 0: without it a server that stalls would never be reported"},
		{p.Mode == HTTP && p.Size != 0, "size is for echo and lines: of HTTP there is body"},
		{p.Mode == HTTP && (!strings.HasPrefix(p.Path, "/") || strings.ContainsAny(p.Path, " \r\n")), fmt.Sprintf("path %q: begin it with a slash, and escape blanks", p.Path)},
		{p.Mode == Echo && (p.Size < 1 || p.Size > maxEcho/max(p.Pipeline, 1)), fmt.Sprintf("size times pipeline is from 1 to %d bytes", maxEcho)},
		{p.Mode == Lines && (p.Size < 2 || p.Size > maxLine), fmt.Sprintf("a line has from 2 to %d bytes, its end included", maxLine)},
		{p.Processes < 1 || p.Processes > MaxProcesses, fmt.Sprintf("processes are from 1 to %d", MaxProcesses)},
		{p.Processes > max(p.Conns, p.Idle), "there are more processes than connections"},
	} {
		if rule.broken {
			return errors.New(rule.reason)
		}
	}
	if err := p.checkHTTP(); err != nil {
		return err
	}
	_, err := p.encryption()
	return err
}

// encryption is nil for plain connections.
func (p *Plan) encryption() (*tls.Config, error) {
	if p.TLS == nil {
		return nil, nil
	}
	host := ""
	if !strings.HasPrefix(p.Address, unixScheme) {
		host, _, _ = net.SplitHostPort(p.Address) // the address is checked before
	}
	return p.TLS.config(host)
}

const unixScheme = "unix://"

// destination resolves the address, which may ask a name server.
func (p *Plan) destination() (worker.Destination, error) {
	if path, ok := strings.CutPrefix(p.Address, unixScheme); ok {
		if path == "" {
			return worker.Destination{}, fmt.Errorf("%s: want unix:///path", p.Address)
		}
		return worker.Destination{Path: path, Timeout: p.Timeout}, nil
	}
	address, err := net.ResolveTCPAddr("tcp", p.Address)
	if err != nil {
		return worker.Destination{}, fmt.Errorf("%s: %w; want host:port, or unix:///path", p.Address, err)
	}
	remote := address.AddrPort()
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	if !remote.Addr().IsValid() || remote.Addr().IsUnspecified() {
		remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), remote.Port())
	}
	if remote.Port() == 0 {
		return worker.Destination{}, fmt.Errorf("%s: want a port from 1 to 65535", p.Address)
	}
	return worker.Destination{Remote: remote, Timeout: p.Timeout}, nil
}

// conns is how many connections there are at a time.
func (p *Plan) conns() int { return p.Conns + p.Idle }

// portsPerSource is how many connections one source address is asked for: less
// than the 28,232 that there are by default, since those closed a moment ago are
// not free at once.
const portsPerSource = 16_000

// churnSources is how many sources a plan with churn has at least.
const churnSources = 8

// addSources gives a plan for a server on a loopback address as many sources as it
// needs, in the part of 127.0.0.0/8 that is process number n's.
func (p *Plan) addSources(n int) {
	to, err := p.destination()
	if err != nil || len(p.Sources) > 0 || !to.Remote.Addr().Is4() || !to.Remote.Addr().IsLoopback() {
		return
	}
	sources := 1 + p.conns()/portsPerSource
	if p.Churn {
		sources = max(sources, churnSources)
	}
	for i := range sources {
		p.Sources = append(p.Sources, netip.AddrFrom4([4]byte{127, byte(1 + n/250), byte(1 + n%250), byte(1 + i%250)}))
	}
}

// part returns what process number n of the plan's is to do.
func (p *Plan) part(n int) Plan {
	share := func(total int64) int64 {
		return total*int64(n+1)/int64(p.Processes) - total*int64(n)/int64(p.Processes)
	}
	part := *p
	part.Processes = 1
	part.Conns, part.Idle = int(share(int64(p.Conns))), int(share(int64(p.Idle)))
	if part.Requests = share(p.Requests); p.Requests > 0 && part.Requests == 0 {
		part.Requests = 1
	}
	part.Rate = p.Rate / float64(p.Processes)
	part.addSources(n)
	return part
}
