package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// engine carries out a plan, or one process's part of it. All of it belongs to the
// loop's goroutine, which is the caller of run; pace alone has another.
//
//	opening ──(idle ones are there)──► warming up ──► measuring ──► over: no more is
//	sent, what is under way may end ──► probing: the idle ones are asked ──► end
type engine struct {
	plan     *Plan
	protocol protocol
	to       worker.Destination
	dialer   *worker.Dialer
	tls      *tls.Config  // nil: connections are plain
	sealed   bytes.Buffer // what a tunnel has to say, within a call
	plain    []byte       // what has come through a tunnel, likewise
	tally    *tally
	progress func(Progress)
	epoch    time.Time

	places  []*place
	idle    []*place
	parked  []*place // that could send a request if one was due
	sources int      // dialled so far

	issued    int64         // requests
	began     time.Duration // when sending began
	measuring bool
	since     time.Duration // of measuring
	before    int64         // answers, then
	shown     int64         // answers, at the last tick
	over      bool
	probing   bool
	busy      int           // places with a connection, or dialling
	holding   int           // likewise, of idle ones
	opening   int           // idle ones that were dialled and not yet heard of
	undialled int           // idle ones that are still to be dialled
	alive     time.Duration // the last answer
	vain      int           // failures since the last answer
	ticker    *worker.Timer
	finish    *worker.Timer
	pacer     chan struct{} // closed to end the pacer; nil: none
	reported  time.Duration // progress
}

// Progress is how far a plan is.
type Progress struct {
	Elapsed     time.Duration `json:"elapsed"`
	Connections int64         `json:"connections"` // so far
	Answers     int64         `json:"answers"`     // likewise
	Errors      int64         `json:"errors"`
}

// progressEvery is how often Progress is reported.
const progressEvery = time.Second

// errTimeout: an answer did not come.
var errTimeout = errors.New("no answer in time")

// run carries out the plan. progress may be nil; it is called on this goroutine.
func run(ctx context.Context, plan *Plan, progress func(Progress)) (*tally, error) {
	to, err := plan.destination()
	if err != nil {
		return nil, err
	}
	if err := enoughDescriptors(plan.conns()); err != nil {
		return nil, err
	}
	config, err := plan.encryption()
	if err != nil {
		return nil, err
	}
	protocol, err := plan.protocol()
	if err != nil {
		return nil, err
	}
	e := &engine{plan: plan, protocol: protocol, to: to, tls: config, tally: newTally(), progress: progress, epoch: time.Now()}
	before := cpuTime()
	err = worker.RunClient(context.WithoutCancel(ctx), func(d *worker.Dialer) error {
		e.dialer = d
		e.start()
		context.AfterFunc(ctx, func() { d.Post(e.interrupt) })
		return nil
	}, worker.WithLogger(hclog.NewNullLogger()))
	e.tally.CPUSeconds = (cpuTime() - before).Seconds()
	if h, ok := protocol.(*http); ok {
		e.tally.countStatuses(h)
	}
	return e.tally, err
}

func (e *engine) now() time.Duration { return time.Since(e.epoch) }

// start opens the idle connections, or sends at once.
func (e *engine) start() {
	for range e.plan.Idle {
		e.idle = append(e.idle, newPlace(e, true))
	}
	e.undialled = len(e.idle)
	e.tick()
	if len(e.idle) == 0 {
		e.send()
		return
	}
	e.openIdle()
}

// send begins with requests.
func (e *engine) send() {
	e.began = e.now()
	e.alive = e.began
	for range e.plan.Conns {
		p := newPlace(e, false)
		e.places = append(e.places, p)
		e.begin(p)
	}
	if e.plan.Rate > 0 {
		e.pacer = make(chan struct{})
		go e.pace(e.pacer, e.epoch.Add(e.began))
	}
	if e.plan.Duration == 0 {
		e.measure()
		return
	}
	e.finish = e.dialer.After(e.plan.Warmup, e.measure)
}

// begin has a place dial; with churn, when a request is to be sent.
func (e *engine) begin(p *place) {
	if e.over || e.spent() {
		e.endIfDone()
		return
	}
	if e.plan.Churn {
		due, ok := e.issue(p, e.now())
		if !ok {
			e.endIfDone()
			return
		}
		p.due = due
	}
	p.dial()
}

// measure begins the measuring: what was counted so far was the warm-up.
func (e *engine) measure() {
	e.measuring = true
	e.since = e.now()
	e.before, e.shown = e.tally.Answers, e.tally.Answers
	if e.plan.Duration > 0 {
		e.finish = e.dialer.After(e.plan.Duration, e.stop)
	}
}

// stop ends the measuring and the sending.
func (e *engine) stop() {
	if e.over {
		return
	}
	if e.measuring {
		e.tally.Requests = e.tally.Answers - e.before
		end := e.now()
		if e.plan.Requests > 0 {
			end = max(e.alive, e.since) // the last answer
		}
		e.tally.Seconds = (end - e.since).Seconds()
		e.measuring = false
	}
	e.over = true
	if e.finish != nil {
		e.finish.Stop()
	}
	if e.pacer != nil {
		close(e.pacer)
	}
	for _, p := range e.places {
		if p.conn != nil && (!p.open || p.settled()) {
			_ = p.hangUp() // it may be closing already
		}
	}
	e.endIfDone()
}

// interrupt is for who does not want to wait for the end.
func (e *engine) interrupt() {
	e.stop()
	e.probing = true
	for _, p := range append(e.places, e.idle...) {
		if p.conn != nil {
			p.ending = true
			_ = p.conn.Abort() // it may be closed already
		}
	}
	e.endIfDone()
}

// endIfDone goes on to the probing, and to the end, when no place has a
// connection any more.
func (e *engine) endIfDone() {
	if !e.over && !e.spent() {
		return
	}
	if e.busy > 0 {
		return
	}
	e.stop()
	if !e.probing {
		e.probing = true
		e.probe()
	}
	if e.holding == 0 {
		e.ticker.Stop()
	}
}

// spent reports whether all requests were sent that the plan asks for.
func (e *engine) spent() bool { return e.plan.Requests > 0 && e.issued >= e.plan.Requests }

// connected takes note of a connection.
func (e *engine) connected(p *place, now time.Duration) {
	e.tally.Connections++
	e.tally.Connect.record(now - p.dialled)
}

// shaken takes note of a handshake that has succeeded.
func (e *engine) shaken(p *place, now time.Duration) {
	session, resumed := p.tunnel.session()
	e.tally.Sessions[session]++
	e.tally.Handshakes++
	if resumed {
		e.tally.Resumed++
	}
	if e.measuring {
		e.tally.Shaken++
		e.tally.Handshake.record(now - p.shaking)
	}
}

// nobody reports whether no connection has come to be so far.
func (e *engine) nobody() bool {
	return e.tally.Connections == 0 || e.tls != nil && e.tally.Handshakes == 0
}

// gotAnswer takes note of an answer.
func (e *engine) gotAnswer(p *place, began, now time.Duration) {
	e.alive, e.vain = now, 0
	switch {
	case p.held && e.probing:
		e.tally.Alive++
		e.tally.Probe.record(now - began)
		return
	case p.held:
		e.tally.Held++
		return
	case e.measuring:
		e.tally.Latency.record(now - began)
	}
	e.tally.Answers++
}

// ended is called when a place has no connection any more, and an error says if
// that was not to be.
func (e *engine) ended(p *place, err error) {
	switch {
	case p.held:
		e.heard(p)
	case e.over:
	case err == nil:
		if e.plan.Churn && e.measuring {
			e.tally.Cycle.record(e.now() - p.due)
		}
		e.begin(p)
		return
	case p.failed || p.answered == 0: // the next will fare no better
		e.dialer.After(retryAfter, func() { e.again(p) })
		return
	default:
		e.again(p)
		return
	}
	e.endIfDone()
}

// again dials for a place that has lost its connection, unless none was ever to
// be had: then the plan is over.
func (e *engine) again(p *place) {
	if e.nobody() && e.vain >= e.plan.conns() {
		e.stop()
	}
	e.begin(p)
}

func (e *engine) count(err error) {
	e.vain++
	name, advice := kind(err)
	e.tally.Errors[name]++
	if advice != "" && len(e.tally.Advice) < 8 {
		e.tally.Advice[advice] = true
	}
}

// tick looks for what is overdue.
func (e *engine) tick() {
	now := e.now()
	e.ticker = e.dialer.After(tickEvery, e.tick)
	if e.measuring {
		e.tally.Series = append(e.tally.Series, e.tally.Answers-e.shown)
		e.shown = e.tally.Answers
	}
	for _, places := range [][]*place{e.places, e.idle} {
		for _, p := range places {
			if p.late(now) {
				p.tardy = true
				_ = p.conn.Abort() // it is open
			}
		}
	}
	if e.plan.Requests > 0 && e.vain > 0 && now-e.alive > e.plan.Timeout {
		e.stop() // there is nobody to send the rest to
	}
	if e.progress != nil && now-e.reported >= progressEvery {
		e.reported = now
		p := Progress{Elapsed: now, Connections: e.tally.Connections, Answers: e.tally.Answers}
		for _, n := range e.tally.Errors {
			p.Errors += n
		}
		e.progress(p)
	}
}

// destination returns where to dial, and from where.
func (e *engine) destination() worker.Destination {
	to := e.to
	if n := len(e.plan.Sources); n > 0 {
		to.Local = e.plan.Sources[e.sources%n]
		e.sources++
	}
	return to
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage) // it cannot fail for this process
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
