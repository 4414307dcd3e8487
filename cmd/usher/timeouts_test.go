package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
)

func init() {
	helpers["worker-timing"] = func() {
		var all timing
		worker.Main(worker.OpenFunc(func(*worker.Conn) (worker.Session, error) { return &timed{all: &all}, nil }))
	}
}

// timing is what one worker knows of its timeouts.
type timing struct {
	armed int
	tally tally
}

// timed is a session that times itself: a line is how many milliseconds it may
// be idle from then on. The peer has finished sending before that, so that the
// timeout itself ends the connection, and no waiting for the peer.
type timed struct {
	all   *timing
	idle  time.Duration
	since time.Time
}

func (s *timed) Data(c *worker.Conn, in []byte) (int, error) {
	end := bytes.IndexByte(in, '\n')
	if end < 0 {
		return 0, nil
	}
	ms, err := strconv.Atoi(string(in[:end]))
	if err != nil {
		return 0, err
	}
	if _, err := c.Write([]byte("!")); err != nil {
		return 0, err
	}
	s.all.armed++
	s.idle, s.since = time.Duration(ms)*time.Millisecond, time.Now()
	c.SetIdleTimeout(s.idle)
	return end + 1, nil
}

func (s *timed) EOF(*worker.Conn, []byte) error { return nil }

// Close says on standard error how all went, when none is armed any more.
func (s *timed) Close(_ *worker.Conn, err error) {
	if s.idle == 0 {
		return
	}
	if errors.Is(err, worker.ErrIdleTimeout) {
		s.all.tally.add(s.idle, time.Since(s.since))
	} else {
		s.all.tally.Failed++
	}
	if s.all.armed--; s.all.armed == 0 {
		line, _ := json.Marshal(s.all.tally) // numbers
		fmt.Fprintf(os.Stderr, "%s%s\n", timingLine, line)
		s.all.tally = tally{}
	}
}

const timingLine = "timeouts: "

// tally is when timeouts came.
type tally struct {
	Early, Failed int
	Late          [len(lateness)]int
	Latest        time.Duration
}

// lateness is the bounds by which those that are late are counted. The second is
// what package worker promises; the last has none.
var lateness = [...]struct {
	name    string
	atLeast time.Duration
	percent time.Duration
}{
	{"at most 1 ms", time.Millisecond, 0},
	{"at most 1 % or 10 ms", 10 * time.Millisecond, 1},
	{"at most 2 % or 20 ms", 20 * time.Millisecond, 2},
	{"at most 10 % or 100 ms", 100 * time.Millisecond, 10},
	{"more", 0, 0},
}

func (t *tally) add(timeout, after time.Duration) {
	late := after - timeout
	if late < 0 {
		t.Early++
		return
	}
	t.Latest = max(t.Latest, late)
	for i, bound := range lateness {
		if i == len(lateness)-1 || late <= max(bound.atLeast, timeout*bound.percent/100) {
			t.Late[i]++
			return
		}
	}
}

func (t *tally) merge(other tally) {
	t.Early += other.Early
	t.Failed += other.Failed
	t.Latest = max(t.Latest, other.Latest)
	for i, n := range other.Late {
		t.Late[i] += n
	}
}

func (t tally) total() int {
	n := t.Early + t.Failed
	for _, late := range t.Late {
		n += late
	}
	return n
}

func (t tally) String() string {
	parts := []string{fmt.Sprintf("%d early, %d failed", t.Early, t.Failed)}
	for i, n := range t.Late {
		parts = append(parts, fmt.Sprintf("%d late by %s", n, lateness[i].name))
	}
	return fmt.Sprintf("%s; latest by %v", strings.Join(parts, ", "), t.Latest.Round(time.Microsecond))
}

// Many idle connections, each with a timeout of its own: all are ended by it,
// none early. How late they are, and what they cost their workers while they wait,
// is shown, and decides nothing: the machine may have other things to do.
func TestManyTimeouts(t *testing.T) {
	crowds := sized(2, 8) // each a process with an address of its own: there are not enough ports, nor descriptors
	each := sized(2500, 12500)
	workers := sized(2, 8)
	shortest, longest := sized(4*time.Second, 45*time.Second), sized(6*time.Second, 75*time.Second)
	rest := sized(time.Second, 10*time.Second)
	connections := crowds * each

	s := serve(t, "--workers", fmt.Sprint(workers), "--", self(), "worker-timing")
	var all []*waiters
	for i := range crowds {
		all = append(all, gatherWaiters(t, fmt.Sprintf("127.0.0.%d", 2+i), s.address, each))
	}
	for _, c := range all {
		c.out.awaitWithin(t, 3*limit, 1, "connected")
	}
	status := s.until("all are connected", func(status master.Status) bool { return status.Connections.Active == uint64(connections) })
	resting := func(what string) {
		before := uses(t, pids(status))
		<-time.After(rest) // this is what is measured
		after := uses(t, pids(status))
		ticks, wakeups := 0, 0
		for i := range after {
			ticks += after[i].ticks - before[i].ticks
			wakeups += after[i].wakeups - before[i].wakeups
		}
		t.Logf("%s: %d connections at rest for %v: %.2f ms of processor time for each 1,000, %d ticks and %d wakeups in %d workers",
			what, connections, rest, float64(ticks)*10*1000/float64(connections), ticks, wakeups, workers)
	}
	resting("without timeouts")

	start := time.Now()
	for i, c := range all {
		c.arm(shortest, longest, uint64(i))
	}
	for _, c := range all {
		c.out.awaitWithin(t, 3*limit, 1, "armed")
	}
	t.Logf("%d timeouts of %v to %v, armed within %v", connections, shortest, longest, time.Since(start).Round(time.Millisecond))
	resting("with timeouts")
	if elapsed := time.Since(start); elapsed > shortest {
		t.Logf("after %v some timeouts may have come within that rest", elapsed)
	}

	var seen tally
	for _, c := range all {
		seen.merge(c.result(t, longest+3*limit))
	}
	t.Logf("as the clients see it: %v", seen)
	if seen.total() != connections || seen.Early+seen.Failed != 0 {
		t.Errorf("the clients see %d ends, %v; want %d, none early or failed", seen.total(), seen, connections)
	}
	s.until("all have left", func(status master.Status) bool { return status.Connections.Closed == uint64(connections) })
	var done tally
	until(t, "the workers have said how all went", func() (bool, string) {
		done = tally{}
		for _, line := range s.log.with(timingLine) {
			var part tally
			_, text, _ := strings.Cut(strings.TrimSuffix(line, `"`), timingLine)
			text = strings.ReplaceAll(text, `\"`, `"`) // the log quotes it
			if err := json.Unmarshal([]byte(text), &part); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			done.merge(part)
		}
		return done.total() >= connections, done.String()
	})
	t.Logf("as the workers see it: %v", done)
	if done.total() != connections || done.Early+done.Failed != 0 {
		t.Errorf("%d timeouts, %v; want %d, none early or failed", done.total(), done, connections)
	}
	s.stop()
}
