package worker_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// panicky panics in one of its callbacks.
type panicky struct {
	in     string
	closed chan error
}

func (p *panicky) say(c *worker.Conn, callback string) {
	if p.in == callback {
		if callback != "Close" {
			_, _ = c.Write([]byte("so far")) // it panics in any case
		}
		panic("in " + callback)
	}
}

func (p *panicky) Open(c *worker.Conn) (worker.Session, error) {
	if c.ID() > 1 {
		return worker.DataFunc(echo), nil
	}
	p.say(c, "Open")
	return p, nil
}

func (p *panicky) Data(c *worker.Conn, in []byte) (int, error) {
	p.say(c, "Data")
	if p.in == "Low" {
		_, err := c.Write(make([]byte, floodSize))
		return len(in), err
	}
	return c.Write(in)
}

func (p *panicky) EOF(c *worker.Conn, rest []byte) error {
	p.say(c, "EOF")
	return c.Close()
}

func (p *panicky) Drain(c *worker.Conn) { p.say(c, "Drain") }
func (p *panicky) Low(c *worker.Conn)   { p.say(c, "Low") }

func (p *panicky) Close(c *worker.Conn, err error) {
	p.closed <- err
	p.say(c, "Close")
}

// syncBuffer is a buffer for a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A panic costs its own connection, is logged with the stack, and no other
// connection notices.
func TestPanics(t *testing.T) {
	tests := []struct {
		in     string
		reply  string
		closed bool // Close is called
		err    error
	}{
		{"Open", "so far", false, nil},
		{"Data", "so far", true, worker.ErrPanic},
		{"EOF", "xso far", true, worker.ErrPanic},
		{"Drain", "xso far", true, worker.ErrPanic},
		{"Low", string(make([]byte, floodSize)) + "so far", true, worker.ErrPanic},
		{"Close", "x", true, nil},
	}
	for _, test := range tests {
		t.Run(test.in, func(t *testing.T) {
			var log syncBuffer
			h := &panicky{in: test.in, closed: make(chan error, 2)}
			s := newRig(t, h, worker.WithLogger(hclog.New(&hclog.LoggerOptions{Output: &log})))
			c, other := s.connectNarrow(), s.connect()
			if test.in != "Open" {
				c.send("x")
			}
			switch test.in {
			case "EOF", "Close":
				c.closeWrite()
			case "Drain":
				s.until(func() bool { return s.entry.Received.Load() == 2 })
				c.expect("x")
				test.reply = strings.TrimPrefix(test.reply, "x")
				s.tell(ipc.Drain{Mode: ipc.DrainFinish})
			}
			c.expect(test.reply)
			c.expectEnd()
			check(t, c.Close())
			if test.closed {
				expectClose(t, h.closed, test.err)
			}
			other.send("alive")
			other.expect("alive")
			text := log.String()
			for _, want := range []string{"handler panicked", "conn=1", "in " + test.in, "panic_test.go"} {
				if !strings.Contains(text, want) {
					t.Errorf("the log lacks %q:\n%s", want, text)
				}
			}
			if strings.Count(text, "handler panicked") != 1 {
				t.Errorf("logged more than once:\n%s", text)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		if c.ID() == 1 {
			_, err := c.Write([]byte("too busy"))
			if err != nil {
				return nil, err
			}
			return nil, errTest
		}
		return nil, nil // which is no session
	}))
	c := s.connect()
	c.expect("too busy")
	c.expectEnd()
	s.connect().expectEnd()
}

func TestOpenGreets(t *testing.T) {
	s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
		_, err := c.Write([]byte("hello"))
		return worker.DataFunc(echo), err
	}))
	c := s.connect()
	c.expect("hello")
	c.send("you")
	c.expect("you")
}

// A connection may end in Open.
func TestOpenEnds(t *testing.T) {
	tests := []struct {
		name string
		end  func(c *worker.Conn) error
		see  func(c *client)
		want error
	}{
		{"Close", (*worker.Conn).Close, (*client).expectEnd, nil},
		{"Abort", (*worker.Conn).Abort, (*client).expectReset, worker.ErrAborted},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newRecorder(echo)
			s := newRig(t, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
				return h, test.end(c)
			}))
			c := s.connect()
			test.see(c)
			check(t, c.Close())
			h.expectClose(t, test.want)
		})
	}
}
