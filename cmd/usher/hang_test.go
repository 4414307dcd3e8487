package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func init() {
	helpers["worker-hanging"] = func() { worker.Main(hanging{}) }
}

// hanging is lines, but "hang" blocks for ever; "work" and "work hard" take a
// while that no operator would call a hang.
type hanging struct{ lines }

func (h hanging) Open(*worker.Conn) (worker.Session, error) { return h, nil }

func (h hanging) Data(c *worker.Conn, in []byte) (int, error) {
	switch strings.TrimSpace(string(in)) {
	case "hang":
		fmt.Fprintln(os.Stderr, "this will take for ever")
		hangForEver()
	case "work":
		spin(20 * time.Millisecond)
	case "work hard":
		fmt.Fprintln(os.Stderr, "this will take a while")
		spin(500 * time.Millisecond)
	}
	return h.lines.Data(c, in)
}

//go:noinline
func hangForEver() { select {} } // the log must name it

func spin(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

// hangTimeout is the shortest there is.
const hangTimeout = 2 * time.Second

// A handler blocks for ever: the log has the stack that says where, and another
// worker takes over, while the other slot serves on.
func TestHang(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "2", "--hang-timeout", hangTimeout.String(), "--", self(), "worker-hanging")
	first, second := dial(t, s.address), dial(t, s.address)
	hung, free := first.ask(t, "hello"), second.ask(t, "hello")
	if hung == free {
		t.Fatalf("both clients are at worker %d", free)
	}
	start := time.Now()
	if err := first.send("hang\n"); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, 1, "worker output", "this will take for ever")
	waiting := crowd(t, s.address, 20)
	exchanges := 0
	stop := meanwhile(t, func() bool {
		pid, err := second.exchange("still here")
		if err != nil || pid != free {
			t.Errorf("answer by worker %d, %v; want %d", pid, err, free)
			return false
		}
		exchanges++
		return true
	})
	if at := answered(t, waiting); at[free] == 0 || at[hung] > 0 {
		t.Errorf("answers by worker %v, want none by %d, which hangs", at, hung)
	}
	leaveAll(t, waiting)

	status := s.until("it is replaced", func(status master.Status) bool {
		return ready(2)(status) && !slices.Contains(pids(status), hung)
	})
	took := time.Since(start)
	stop()
	t.Logf("a worker hangs, limit %v: replaced after %v, while the other answered %d times",
		hangTimeout, took.Round(time.Millisecond), exchanges)
	// The master takes samples, and rounds to a tenth of a second.
	if least, most := hangTimeout-100*time.Millisecond, 10*(hangTimeout+time.Second); took < least || took > most {
		t.Errorf("replaced after %v, want at least %v, and at most %v", took, least, most)
	}
	pid := strconv.Itoa(hung)
	s.log.await(t, 1, "[ERROR]", "worker hangs, aborting it", "pid="+pid+" ")
	s.log.await(t, 1, "worker output", "hangForEver")
	s.log.await(t, 1, "worker died", "pid="+pid+" ")
	if err := first.atEnd(); os.IsTimeout(err) {
		t.Errorf("the client of the worker that hung: %v, want the end or a reset", err)
	}
	_ = first.conn.Close() // it has ended
	if status.Connections.Lost != 1 || len(s.log.with("worker died")) != 1 {
		t.Errorf("%d connections lost, %q; want one of each", status.Connections.Lost, s.log.with("worker died"))
	}
	second.leave(t)
	s.stop()
}

// A worker that is at work all the time, but in many short calls, does not hang.
func TestBusyIsNoHang(t *testing.T) {
	t.Parallel()
	const clients = 4 // so that one is being served whenever another has its answer
	s := serve(t, "--workers", "1", "--hang-timeout", hangTimeout.String(), "--", self(), "worker-hanging")
	before := s.now()
	end := time.Now().Add(sized(3*hangTimeout/2, 5*hangTimeout))
	var calls atomic.Int64
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			c, err := connect(s.address)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.conn.Close()
			for ; time.Now().Before(end); calls.Add(1) {
				if _, err := c.exchange("work"); err != nil {
					t.Error(err)
					return
				}
			}
			if err := c.end(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	t.Logf("%d calls of 20ms", calls.Load())
	s.doesNotHang(before)
}

// The whole server is stopped for longer than a worker may hang, one worker in
// the middle of a handler, and with connections in the queues: once it goes on,
// nobody is taken to hang.
func TestStoppedServerDoesNotHang(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "2", "--hang-timeout", hangTimeout.String(), "--", self(), "worker-hanging")
	before := s.now()
	c := dial(t, s.address)
	c.ask(t, "hello")
	for n := range sized(1, 3) {
		workers := pids(s.now())
		if err := c.send("work hard\n"); err != nil {
			t.Fatal(err)
		}
		s.log.await(t, n+1, "worker output", "this will take a while")
		for _, pid := range workers {
			freeze(t, pid)
		}
		waiting := crowd(t, s.address, 10)
		s.queued(10)
		freeze(t, s.pid)
		<-time.After(hangTimeout * 3 / 2) // that is what the story is about
		kill(t, s.pid, unix.SIGCONT)
		for _, pid := range workers {
			kill(t, pid, unix.SIGCONT)
		}
		answered(t, waiting)
		leaveAll(t, waiting)
		if _, err := c.answer("work hard"); err != nil {
			t.Error(err)
		}
	}
	// The looks that come now could take them to have stood still.
	<-time.After(hangTimeout + hangTimeout/4)
	c.leave(t)
	s.doesNotHang(before)
}

// One worker alone is stopped in the middle of a handler, for longer than it may
// hang: it does not get
// what is new, what waits in its queue is served by the other, and nobody kills
// it; when it goes on, so do its connections.
func TestStoppedWorkerDoesNotHang(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "2", "--hang-timeout", hangTimeout.String(), "--", self(), "worker-hanging")
	before := s.now()
	c := dial(t, s.address)
	stopped := c.ask(t, "hello")
	if err := c.send("work hard\n"); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, 1, "worker output", "this will take a while")
	freeze(t, stopped)
	waiting := crowd(t, s.address, 20)
	start := time.Now()
	at := answered(t, waiting)
	t.Logf("20 clients, one worker of 2 stopped: all are answered after %v", time.Since(start).Round(time.Millisecond))
	if at[stopped] > 0 {
		t.Errorf("%d answers by a stopped worker", at[stopped])
	}
	s.log.await(t, 1, "worker takes nothing from its queue, which goes to others")
	<-time.After(sized(3*hangTimeout/2, 4*hangTimeout)) // that is what the story is about
	kill(t, stopped, unix.SIGCONT)
	if pid, err := c.answer("work hard"); err != nil || pid != stopped {
		t.Errorf("answer by worker %d, %v; want %d", pid, err, stopped)
	}
	leaveAll(t, append(waiting, c))
	s.doesNotHang(before)
}

// doesNotHang checks that nobody was taken to hang, and ends the story.
func (s *server) doesNotHang(before master.Status) {
	s.t.Helper()
	for _, line := range s.log.with("worker hangs") {
		s.t.Errorf("in the log: %s", line)
	}
	s.unchanged(before)
	s.stop()
}
