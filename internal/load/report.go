package load

import (
	"maps"
	"slices"
	"time"
)

// Report is what a plan has come to. Times are in nanoseconds.
type Report struct {
	Mode          string           `json:"mode"`
	Address       string           `json:"address"`
	Conns         int              `json:"conns"`
	Size          int              `json:"size"`
	Pipeline      int              `json:"pipeline"`
	Processes     int              `json:"processes"`
	Seconds       float64          `json:"seconds"`     // of measuring
	Connections   int64            `json:"connections"` // that were made, over all
	Requests      int64            `json:"requests"`    // answers that were verified, while measuring
	Answers       int64            `json:"answers"`     // those, and what came before and after
	PerSecond     float64          `json:"per_second"`
	BytesSent     int64            `json:"bytes_sent"`
	BytesReceived int64            `json:"bytes_received"`
	Latency       *Summary         `json:"latency,omitempty"` // of a request: from when it was sent, or with a rate was due
	Connect       *Summary         `json:"connect,omitempty"`
	TLS           *Handshakes      `json:"tls,omitempty"`
	HTTP          *Answers         `json:"http,omitempty"`
	Cycle         *Summary         `json:"cycle,omitempty"` // of churn: connect, exchange, close
	Idle          *Idle            `json:"idle,omitempty"`
	CPUSeconds    float64          `json:"cpu_seconds"` // of this side
	Errors        map[string]int64 `json:"errors"`      // by kind; of connections, not of requests
	Advice        []string         `json:"advice,omitempty"`
	OK            bool             `json:"ok"` // no errors, and an answer

	Interval float64   `json:"interval"` // seconds between two of Series
	Series   []float64 `json:"series"`   // answers a second, over time

	Distribution []Percentile `json:"-"`
}

// Handshakes is what TLS has come to.
type Handshakes struct {
	Handshakes int64            `json:"handshakes"` // that have succeeded, over all
	Resumed    int64            `json:"resumed"`    // of those
	PerSecond  float64          `json:"per_second"` // while measuring
	Latency    *Summary         `json:"latency,omitempty"`
	Sessions   map[string]int64 `json:"sessions"` // handshakes by version and suite
}

// Answers is what HTTP has come to.
type Answers struct {
	Statuses   map[string]int64 `json:"statuses"`    // answers by status, over all
	IdleClosed int64            `json:"idle_closed"` // connections that the server has ended between requests; no error, since none was lost
}

// Summary describes latencies.
type Summary struct {
	Min  int64 `json:"min_ns"`
	Mean int64 `json:"mean_ns"`
	P50  int64 `json:"p50_ns"`
	P90  int64 `json:"p90_ns"`
	P99  int64 `json:"p99_ns"`
	P999 int64 `json:"p999_ns"`
	Max  int64 `json:"max_ns"`
}

// Idle is what has become of connections that were held.
type Idle struct {
	Opened   int64    `json:"opened"`
	Answered int64    `json:"answered"` // at the end
	Probe    *Summary `json:"probe,omitempty"`
}

// Percentile is a point of a distribution.
type Percentile struct {
	Percent float64
	Latency time.Duration
}

// The kinds of errors.
const (
	KindRefused     = "refused"     // nobody listens
	KindReset       = "reset"       // by the server
	KindTimeout     = "timeout"     // no connection, or no progress of an answer
	KindClosed      = "closed"      // by the server, before the answer
	KindUnanswered  = "unanswered"  // HTTP: the connection ended before any byte of the first answer
	KindStale       = "stale"       // HTTP: likewise, on a connection that had answered before: the request met its end
	KindCut         = "cut"         // HTTP: the connection ended within an answer
	KindStatus      = "status"      // HTTP: the answer has another than is wanted
	KindWrong       = "wrong"       // the answer
	KindDescriptors = "descriptors" // none left on this side
	KindPorts       = "ports"       // likewise
	KindTLS         = "tls"         // a handshake or a record
	KindOther       = "other"
)

// tickEvery is how often the engine looks for what is overdue, and how long each of
// Series counts.
const tickEvery = 100 * time.Millisecond

func (h histogram) summary() *Summary {
	if h.TotalCount() == 0 {
		return nil
	}
	return &Summary{
		Min: h.Min(), Mean: int64(h.Mean()), Max: h.Max(),
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9),
	}
}

func (t *tally) report(p *Plan) *Report {
	r := &Report{
		Mode: p.Mode, Address: p.Address, Conns: p.Conns, Size: p.Size, Pipeline: p.Pipeline, Processes: p.Processes,
		Seconds: t.Seconds, Connections: t.Connections, Requests: t.Requests, Answers: t.Answers,
		BytesSent: t.Sent, BytesReceived: t.Received, CPUSeconds: t.CPUSeconds,
		Latency: t.Latency.summary(), Connect: t.Connect.summary(), Cycle: t.Cycle.summary(),
		Errors: t.Errors, Advice: slices.Sorted(maps.Keys(t.Advice)), Interval: tickEvery.Seconds(),
	}
	if t.Seconds > 0 {
		r.PerSecond = float64(t.Requests) / t.Seconds
	}
	for _, count := range t.Series {
		r.Series = append(r.Series, float64(count)/tickEvery.Seconds())
	}
	if p.TLS != nil {
		r.TLS = &Handshakes{Handshakes: t.Handshakes, Resumed: t.Resumed, Latency: t.Handshake.summary(), Sessions: t.Sessions}
		if t.Seconds > 0 {
			r.TLS.PerSecond = float64(t.Shaken) / t.Seconds
		}
	}
	if p.Mode == HTTP {
		r.HTTP = &Answers{Statuses: t.Statuses, IdleClosed: t.IdleClosed}
	}
	if p.Idle > 0 {
		r.Idle = &Idle{Opened: t.Held, Answered: t.Alive, Probe: t.Probe.summary()}
	}
	if t.Requests > 0 {
		for _, bracket := range t.Latency.CumulativeDistribution() {
			r.Distribution = append(r.Distribution, Percentile{bracket.Quantile, time.Duration(bracket.ValueAt)})
		}
	}
	r.OK = len(t.Errors) == 0 && (t.Requests > 0 || p.Conns == 0) && t.Alive == int64(p.Idle)
	return r
}
