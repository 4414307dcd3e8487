package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/timerwheel"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// still is a loop whose clock stands still, and one connection of it. A test
// moves the clock, and the loop by single turns.
type still struct {
	*Conn
	t       *testing.T
	l       *loop
	member  *member // nil: the loop has none
	oneTurn func() error
	time    time.Duration
	peer    int
	data    func(in []byte) error
	closed  bool
	err     error // what the session's Close got
}

// stillSession is its session.
type stillSession struct{ s *still }

func (h stillSession) Data(c *Conn, in []byte) (int, error) {
	if h.s.data != nil {
		return len(in), h.s.data(in)
	}
	return len(in), nil
}

func (h stillSession) Close(c *Conn, err error) { h.s.closed, h.s.err = true, err }

func newStill(t *testing.T, idle time.Duration) *still {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	return newStillOn(t, idle, pair)
}

// newStillOn is newStill with a pair of non-blocking sockets, which it takes over:
// the peer's, and the connection's.
func newStillOn(t *testing.T, idle time.Duration, pair [2]int) *still {
	t.Helper()
	l, err := newLoop(newOptions([]Option{WithLogger(hclog.NewNullLogger())}))
	must(t, err)
	s := &still{t: t, time: time.Hour, l: l, oneTurn: func() error {
		_, err := l.turn(l.nextDeadline(), 0)
		return err
	}}
	s.begin(idle, pair, func() { l.end(); l.close() })
	return s
}

// newStillMember is newStillOn with the loop of a member.
func newStillMember(t *testing.T, idle time.Duration, pair [2]int) *still {
	t.Helper()
	m := newTestMember(t, DataFunc(func(*Conn, []byte) (int, error) { return 0, nil })) // nothing comes by its queue
	s := &still{t: t, time: time.Hour, l: m.loop, member: m, oneTurn: func() error { return m.turn(false) }}
	s.begin(idle, pair, func() { m.end(); m.close() })
	return s
}

// newTestMember returns a member at the ends of a queue and of control whose others
// nobody reads. The caller ends and closes it.
func newTestMember(t *testing.T, h Handler) *member {
	t.Helper()
	queue, farQueue, err := fdpass.Pair()
	must(t, err)
	control, farControl, err := fdpass.Pair()
	must(t, err)
	board, err := ipc.NewScoreboard(1)
	must(t, err)
	t.Cleanup(func() {
		fdpass.CloseAll([]int{farQueue, farControl})
		must(t, board.Close())
	})
	m, err := newMember(endpoint{queue: queue, control: control, entry: board.Entry(0)}, h,
		newOptions([]Option{WithLogger(hclog.NewNullLogger())}))
	must(t, err)
	return m
}

// begin opens the connection. over ends and closes the loop.
func (s *still) begin(idle time.Duration, pair [2]int, over func()) {
	s.t.Helper()
	t, l := s.t, s.l
	handler := OpenFunc(func(c *Conn) (Session, error) { s.Conn = c; return stillSession{s}, nil })
	l.clock = func() time.Duration { return s.time }
	l.idleMS = millis(idle)
	l.start()
	s.peer = pair[0]
	l.adopt(&ipc.Envelope{ID: 1}, pair[1]).openNew(handler)
	t.Cleanup(func() {
		if _, armed := l.wheel.Next(); s.closed && (armed || len(l.timers) > 0) {
			t.Error("something is timed, after the end")
		}
		over()
		_ = unix.Close(s.peer) // a client that leaves
		if n := l.wheel.InUse(); n != 0 {
			t.Errorf("%d ids of the wheel are in use, after the end", n)
		}
	})
	s.turn()
}

// late is what the wheel promises: how long after its deadline something so far
// away may fire.
func late(away time.Duration) time.Duration { return timerwheel.Late(away) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// turn is one turn of the loop, without waiting.
func (s *still) turn() {
	s.t.Helper()
	must(s.t, s.oneTurn())
}

// pass lets time pass, and makes a turn.
func (s *still) pass(d time.Duration) {
	s.t.Helper()
	s.time += d
	s.turn()
}

func (s *still) send(bytes string) {
	s.t.Helper()
	_, err := unix.Write(s.peer, []byte(bytes))
	must(s.t, err)
	s.turn()
}

// write is a callback that writes so many bytes.
func (s *still) write(n int) {
	s.t.Helper()
	_, err := s.Write(make([]byte, n))
	must(s.t, err)
	s.l.settle()
}

// read takes n bytes at the peer's end, with turns to send more.
func (s *still) read(n int) {
	s.t.Helper()
	buffer := make([]byte, 4096)
	for n > 0 {
		got, err := unix.Read(s.peer, buffer[:min(n, len(buffer))])
		must(s.t, err)
		n -= got
		s.turn()
	}
}

// expectAt wants the session's Close, because of want, when d has passed: not a
// moment before, and no later than the wheel promises.
func (s *still) expectAt(d time.Duration, want error) {
	s.t.Helper()
	s.pass(d - 1)
	if s.ending() {
		s.t.Fatalf("closed early: %v", s.cause())
	}
	s.pass(1 + late(d))
	if !s.ending() {
		s.t.Fatalf("open after %v", d)
	}
	s.expectClose(want)
}

// expectClose wants the session's Close, when the peer ends too.
func (s *still) expectClose(want error) {
	s.t.Helper()
	if !s.closed {
		must(s.t, unix.Shutdown(s.peer, unix.SHUT_WR))
		s.turn()
	}
	if !s.closed || !errors.Is(s.err, want) || want == nil && s.err != nil {
		s.t.Fatalf("closed %v: %v, want %v", s.closed, s.err, want)
	}
}

func (s *still) expectOpen() {
	s.t.Helper()
	if s.ending() {
		s.t.Fatalf("closed: %v", s.cause())
	}
}
