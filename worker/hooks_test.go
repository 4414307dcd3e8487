package worker_test

import (
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
)

// diary keeps what was called, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) expect(t testing.TB, want ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.lines, want) {
		t.Errorf("called %q\nwant   %q", d.lines, want)
	}
}

func (d *diary) hooks() worker.Option {
	return worker.WithHooks(worker.Hooks{
		Start: func() error { d.note("start"); return nil },
		Ready: func() { d.note("ready") },
		Drain: func() { d.note("drain") },
		Stop:  func() { d.note("stop") },
	})
}

// noted is an echo whose session's calls are noted too.
type noted struct{ *diary }

func (n noted) Open(*worker.Conn) (worker.Session, error)   { n.note("Open"); return n, nil }
func (n noted) Data(c *worker.Conn, in []byte) (int, error) { return c.Write(in) }
func (n noted) Drain(c *worker.Conn)                        { n.note("Drain"); _ = c.Close() } // it is open
func (n noted) Close(*worker.Conn, error)                   { n.note("Close") }

func TestHooks(t *testing.T) {
	t.Run("drained", func(t *testing.T) {
		d := new(diary)
		s := newRig(t, noted{d}, d.hooks())
		c := s.connect()
		c.send("x")
		c.expect("x")
		s.tell(ipc.Drain{Mode: ipc.DrainFinish})
		c.expectEnd()
		check(t, c.Close())
		s.expectDrained()
		d.expect(t, "start", "ready", "Open", "drain", "Drain", "Close", "stop")
	})
	t.Run("stopped", func(t *testing.T) {
		d := new(diary)
		s := newRig(t, noted{d}, d.hooks())
		c := s.connect()
		c.send("x")
		c.expect("x")
		s.tell(ipc.Stop{})
		s.expectDrained()
		d.expect(t, "start", "ready", "Open", "Close", "stop")
	})
	t.Run("streams", func(t *testing.T) {
		d := new(diary)
		s := newRig(t, worker.Streams(func(l net.Listener) error {
			d.note("serve")
			_, err := l.Accept()
			d.note("served")
			return err
		}), worker.WithHooks(worker.Hooks{
			Start: func() error { d.note("start"); return nil },
			Drain: func() { d.note("drain") },
			Stop:  func() { d.note("stop") },
		}))
		s.tell(ipc.Drain{Mode: ipc.DrainFinish})
		s.expectDrained()
		d.mu.Lock()
		slices.Sort(d.lines[1:3]) // serve and drain are called side by side
		d.mu.Unlock()
		d.expect(t, "start", "drain", "serve", "served", "stop")
	})
}

// What Start returns ends the worker before the master hears that it is ready.
func TestStartFails(t *testing.T) {
	tests := []struct {
		name  string
		start func() error
		want  error
	}{
		{"an error", func() error { return errTest }, errTest},
		{"a panic", func() error { panic("no database") }, worker.ErrPanic},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := new(diary)
			s := startRig(t, ipc.Hello{Protocol: ipc.Version}, noted{d}, worker.WithHooks(worker.Hooks{
				Start: test.start,
				Ready: func() { d.note("ready") },
				Stop:  func() { d.note("stop") },
			}))
			s.wait()
			if !errors.Is(s.err, test.want) || !strings.Contains(s.err.Error(), "worker: start: ") {
				t.Errorf("ended with %v, want %v", s.err, test.want)
			}
			if m, ok := <-s.messages; ok {
				t.Errorf("the master was told %#v", m)
			}
			d.expect(t)
		})
	}
}

// A panic costs the call and nothing else.
func TestHooksPanic(t *testing.T) {
	var log syncBuffer
	again := make(chan bool, 1)
	ticks := 0
	s := newRig(t, worker.DataFunc(echo), worker.WithLogger(hclog.New(&hclog.LoggerOptions{Output: &log})),
		worker.WithHooks(worker.Hooks{
			Ready: func() { panic("in Ready") },
			Drain: func() { panic("in Drain") },
			Stop:  func() { panic("in Stop") },
		}),
		worker.WithTick(time.Millisecond, func(iter.Seq[*worker.Conn]) {
			if ticks++; ticks == 1 {
				panic("in Tick")
			}
			select {
			case again <- true:
			default:
			}
		}))
	await(t, again)
	c := s.connect()
	c.send("alive")
	c.expect("alive")
	check(t, c.Close())
	s.tell(ipc.Drain{Mode: ipc.DrainFinish})
	s.expectDrained()
	for _, hook := range []string{"Ready", "Tick", "Drain", "Stop"} {
		if text := log.String(); !strings.Contains(text, "in "+hook) || strings.Count(text, "hook panicked") != 4 {
			t.Errorf("not logged once, as of %s:\n%s", hook, text)
		}
	}
}

// Ticks see the open connections, and keep their distance.
func TestTicks(t *testing.T) {
	n := 0
	w := workertest.New(t, worker.DataFunc(echo),
		worker.WithTick(time.Second, func(conns iter.Seq[*worker.Conn]) {
			n++
			for c := range conns {
				fmt.Fprintf(c, "%d ", n)
			}
		}),
		worker.WithTick(time.Minute, func(conns iter.Seq[*worker.Conn]) {
			for c := range conns {
				check(t, c.Close())
				break // of those that are left, in this call
			}
		}))
	c := w.Connect()
	w.Advance(time.Second - 1)
	w.Advance(1)
	other := w.Connect()
	w.Advance(999 * time.Millisecond)
	w.Advance(time.Hour) // late: one tick, not thousands
	w.Advance(time.Second)
	if got := c.Received() + "| " + other.Received(); strings.Count(got, "1 ") != 1 || strings.Count(got, "2 ") != 2 || strings.Count(got, "3 ") != 1 {
		t.Errorf("received %q", got)
	}
	if c.Ended() == other.Ended() {
		t.Error("a tick that stops at the first connection has closed both, or none")
	}
}

func TestTickEveryNothing(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	worker.WithTick(0, nil)
}
