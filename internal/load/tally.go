package load

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The latencies that are told apart: a minute, three digits. What is longer
// counts as a minute.
const (
	longest = int64(time.Minute)
	digits  = 3
)

// tally is what one engine, or several together, have counted.
type tally struct {
	Seconds     float64          `json:"seconds"` // of measuring
	Connections int64            `json:"connections"`
	Requests    int64            `json:"requests"` // verified answers, while measuring
	Answers     int64            `json:"answers"`  // all of them
	Sent        int64            `json:"sent"`     // bytes
	Received    int64            `json:"received"`
	CPUSeconds  float64          `json:"cpu_seconds"`
	Handshakes  int64            `json:"handshakes"`
	Resumed     int64            `json:"resumed"`     // of those
	Shaken      int64            `json:"shaken"`      // of those, while measuring
	Sessions    map[string]int64 `json:"sessions"`    // handshakes by version and suite
	Held        int64            `json:"held"`        // idle connections that were opened
	Alive       int64            `json:"alive"`       // and answered at the end
	Statuses    map[string]int64 `json:"statuses"`    // answers of HTTP by status, those that are not wanted too
	IdleClosed  int64            `json:"idle_closed"` // connections of HTTP that the server has ended between requests
	Errors      map[string]int64 `json:"errors"`      // by kind
	Advice      map[string]bool  `json:"advice"`      // what the errors mean, once each
	Series      []int64          `json:"series"`      // answers in each interval of the measuring

	Latency   histogram `json:"latency"` // of a request
	Connect   histogram `json:"connect"`
	Handshake histogram `json:"handshake"` // while measuring
	Cycle     histogram `json:"cycle"`     // of churn: connect, exchange, close
	Probe     histogram `json:"probe"`     // of idle connections
}

// histogram is one that travels as JSON.
type histogram struct{ *hdrhistogram.Histogram }

func newHistogram() histogram { return histogram{hdrhistogram.New(1, longest, digits)} }

func (h histogram) record(d time.Duration) {
	_ = h.RecordValue(min(max(int64(d), 1), longest)) // it is within the range
}

func (h histogram) MarshalJSON() ([]byte, error) {
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, err
	}
	return json.Marshal(string(text))
}

func (h *histogram) UnmarshalJSON(b []byte) error {
	var text string
	err := json.Unmarshal(b, &text)
	if err == nil {
		h.Histogram, err = hdrhistogram.Decode([]byte(text))
	}
	return err
}

func newTally() *tally {
	return &tally{
		Errors: make(map[string]int64), Advice: make(map[string]bool), Sessions: make(map[string]int64), Statuses: make(map[string]int64),
		Latency: newHistogram(), Connect: newHistogram(), Handshake: newHistogram(), Cycle: newHistogram(), Probe: newHistogram(),
	}
}

func (t *tally) countStatuses(h *http) {
	for status, count := range h.statuses {
		if count > 0 {
			t.Statuses[strconv.Itoa(status)] = count
		}
	}
}

// beside adds what another engine has counted at the same time.
func (t *tally) beside(other *tally) {
	t.Seconds = max(t.Seconds, other.Seconds)
	for i, count := range other.Series {
		if i == len(t.Series) {
			t.Series = append(t.Series, 0)
		}
		t.Series[i] += count
	}
	t.add(other)
}

// then adds what was counted afterwards.
func (t *tally) then(other *tally) {
	t.Seconds += other.Seconds
	t.Series = append(t.Series, other.Series...)
	t.add(other)
}

func (t *tally) add(other *tally) {
	t.Connections += other.Connections
	t.Requests += other.Requests
	t.Answers += other.Answers
	t.Sent += other.Sent
	t.Received += other.Received
	t.CPUSeconds += other.CPUSeconds
	t.Handshakes += other.Handshakes
	t.Resumed += other.Resumed
	t.Shaken += other.Shaken
	for session, count := range other.Sessions {
		t.Sessions[session] += count
	}
	for status, count := range other.Statuses {
		t.Statuses[status] += count
	}
	t.IdleClosed += other.IdleClosed
	t.Held += other.Held
	t.Alive += other.Alive
	for kind, count := range other.Errors {
		t.Errors[kind] += count
	}
	for advice := range other.Advice {
		t.Advice[advice] = true
	}
	t.Latency.Merge(other.Latency.Histogram)
	t.Connect.Merge(other.Connect.Histogram)
	t.Handshake.Merge(other.Handshake.Histogram)
	t.Cycle.Merge(other.Cycle.Histogram)
	t.Probe.Merge(other.Probe.Histogram)
}
