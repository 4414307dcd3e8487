package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// Clients send requests at random, and what is none, in any fragments, plain and by TLS;
// what their handlers do is at random too. Meanwhile connections move to and fro, workers
// come and go, and the master becomes itself anew. Each gets the answers, and the end, that
// net/http's server gives to the same bytes; where docs/web.md says that worker/web is
// stricter, that.
//
// A client that fails names its seed: go test -run TestAnyRequests/NAME -seed=N has the
// first one do the same again.
func TestAnyRequestsAnyMoves(t *testing.T) {
	t.Run("on goroutines", func(t *testing.T) { anyRequests(t, false) })
	t.Run("on the loop", func(t *testing.T) { anyRequests(t, true) })
}

func anyRequests(t *testing.T, inline bool) {
	atATime, duration := sized(20, 60), sized(4*time.Second, 60*time.Second)
	ca, flags := secureFlags(t)
	p := install(t)
	args := append(flags, "--workers", "2", "--max-workers", "8", "--drain-timeout", patience.String(), "--", self(), "worker-web-steps")
	if inline {
		args = append(args, "inline")
	}
	s := p.serve(args...)
	d := &webDifferential{
		inline:    inline,
		plain:     s.address,
		secure:    s.until("all are ready", ready(2)).Listeners[1].Address, // the first is plain
		config:    trust(t, ca),
		reference: newWebReference(t),
	}
	start := *seed
	if start == 0 { // a short run has the same clients each time: a long one looks for what they lack
		start = uint64(sized(1, int(time.Now().UnixNano())))
	}
	over := time.Now().Add(duration)
	var next atomic.Uint64
	next.Store(start)
	var clients, others sync.WaitGroup
	for range atATime {
		clients.Go(func() {
			for time.Now().Before(over) && !t.Failed() {
				seed := next.Add(1) - 1
				if err := d.run(seed); err != nil {
					t.Errorf("the client of seed %d: %v", seed, err)
				}
			}
		})
	}
	done := make(chan struct{})
	movers := &unrest{s: s, r: rand.New(random(start, 'm')), acts: []act{move}, each: d.moment.come}
	staff := &unrest{s: s, r: rand.New(random(start, 't')), acts: []act{rescale, rescale, terminate, reload, hangUp, upgrade}, each: d.moment.come}
	for _, u := range []*unrest{movers, staff} {
		others.Go(func() { u.goOn(done) })
	}
	clients.Wait()
	close(done)
	others.Wait()

	staff.atRest()
	counts := s.until("two workers, and nobody else", func(status master.Status) bool {
		return ready(s.workers)(status) && status.Connections.Active+status.Connections.Queued == 0
	}).Connections
	n := next.Load() - start
	t.Logf("seed %d: %d clients, %d at a time, %d requests in %d bytes, %d answers in %d bytes, of %d clients to the end; %d moves asked for, %d changes of workers; %+v",
		start, n, atATime, d.requests.Load(), d.sent.Load(), d.answers.Load(), d.received.Load(), d.whole.Load(), movers.done, staff.done, counts)
	if counts.Moved == 0 {
		t.Error("nothing has moved")
	}
	if counts.Lost+counts.Refused+counts.Cut != 0 || counts.Accepted != n {
		t.Errorf("%+v; want %d accepted, none lost, refused or cut", counts, n)
	}
	for _, line := range s.log.with("worker died") {
		t.Errorf("in the log: %s", line)
	}
	s.stop()
}

func hangUp(u *unrest, _ master.WorkerStatus) error { return unix.Kill(u.s.pid, unix.SIGHUP) }

func upgrade(u *unrest, _ master.WorkerStatus) error {
	return post(u.s.control, "/v1/upgrade", struct{}{}, &struct{}{})
}

// webMoment is when something is done to a server, again and again.
type webMoment struct {
	mu   sync.Mutex
	next chan struct{}
}

// wait returns a channel that is closed when something is done.
func (m *webMoment) wait() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next == nil {
		m.next = make(chan struct{})
	}
	return m.next
}

func (m *webMoment) come() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next != nil {
		close(m.next)
		m.next = nil
	}
}

// webDifferential is what the clients of the story share.
type webDifferential struct {
	inline        bool
	plain, secure string // addresses
	config        *tls.Config
	reference     *webReference
	moment        webMoment

	requests, sent, answers, received, whole atomic.Int64
}

// run is a client: it says the same to both servers, and compares.
func (d *webDifferential) run(seed uint64) error {
	r := rand.New(random(seed, 'h'))
	script := newWebScript(r, d.inline)
	here := &webSide{script: script, conn: d.reference.dial(), seed: seed}
	if err := here.run(); err != nil {
		return fmt.Errorf("net/http's server: %w\n%v", err, script)
	}
	want := script.expected(parseWebAnswers(here.got, script.methods))
	conn, err := d.dial(r)
	if err != nil {
		return err
	}
	there := &webSide{script: script, conn: conn, seed: seed, moment: &d.moment}
	err = there.run()
	got := parseWebAnswers(there.got, script.methods)
	// By TLS a reset is an end without notice; and who sends may have been told, in the place
	// of who receives.
	reset := (errors.Is(err, unix.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF) || err == nil && (there.failed || script.aborts)) && script.mayReset(want)
	if reset {
		err = nil
	}
	if err := errors.Join(err, script.compare(got, want, reset)); err != nil {
		return fmt.Errorf("%w\n%v", err, script)
	}
	d.requests.Add(int64(len(script.methods)))
	d.sent.Add(int64(len(script.in)))
	d.answers.Add(int64(len(got)))
	d.received.Add(int64(len(there.got)))
	if script.ending != webResets {
		d.whole.Add(1)
	}
	return nil
}

// dial connects, by TLS or not, and with more room for answers or less.
func (d *webDifferential) dial(r *rand.Rand) (webConn, error) {
	dialer := &net.Dialer{Timeout: limit}
	if r.IntN(3) == 0 {
		dialer.Control = func(_, _ string, raw syscall.RawConn) (err error) {
			return errors.Join(raw.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10)
			}), err)
		}
	}
	if r.IntN(3) > 0 {
		conn, err := dialer.Dial("tcp", d.plain)
		if err != nil {
			return nil, err
		}
		return conn.(*net.TCPConn), nil
	}
	config := d.config.Clone()
	config.ServerName = "both.example"
	return tls.DialWithDialer(dialer, "tcp", d.secure, config)
}
