package worker_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/framing"
)

// These are of package framing, with connections that are some worker's.

// lineEcho answers each line, and does more at some.
func lineEcho(t *testing.T, at map[string]func(c *worker.Conn) error) worker.Handler {
	return framing.Handler(framing.Lines(64), func(c *worker.Conn, line []byte) error {
		if _, err := c.Writev([]byte("got "), line, []byte("\n")); err != nil {
			t.Error(err)
		}
		if do := at[string(line)]; do != nil {
			return do(c)
		}
		return nil
	})
}

func TestFramingStopsWhenTheConnectionEnds(t *testing.T) {
	h := lineEcho(t, map[string]func(c *worker.Conn) error{
		"quit": (*worker.Conn).Close,
		"fail": func(*worker.Conn) error { return errors.New("so be it") },
	})
	s := newRig(t, h)
	for _, last := range []string{"quit", "fail", strings.Repeat("x", 65)} {
		c := s.connect()
		c.send("a\r\n" + last + "\nnever\n")
		c.expect("got a\n")
		if len(last) <= 64 {
			c.expect("got " + last + "\n")
		}
		c.expectEnd()
		check(t, c.Close())
	}
}

func TestFramingGivesTheLastLine(t *testing.T) {
	s := newRig(t, lineEcho(t, nil))
	c := s.connect()
	c.send("a\nb")
	c.expect("got a\n")
	c.closeWrite()
	c.expect("got b\n")
	c.expectEnd()
}

// The lines behind a pause come after it, once each, though no more bytes do.
func TestFramingWaitsForThePauseToEnd(t *testing.T) {
	var paused *worker.Conn
	h := lineEcho(t, map[string]func(c *worker.Conn) error{
		"pause":  func(c *worker.Conn) error { c.Pause(); paused = c; return nil },
		"resume": func(*worker.Conn) error { paused.Resume(); return nil },
	})
	s := newRig(t, h)
	c, other := s.connect(), s.connect()
	c.send("a\npause\nb\nc\nd")
	c.expect("got a\ngot pause\n")
	other.send("resume\n")
	other.expect("got resume\n")
	c.expect("got b\ngot c\n")
	c.closeWrite()
	c.expect("got d\n")
	c.expectEnd()
}

// Answers that the peer does not read hold up the lines behind them: what one
// connection costs is the high-water mark and one answer, not an answer to every
// line that came.
func TestFramingWaitsForASlowReader(t *testing.T) {
	const lines, size = 1000, 32 << 10
	answer := make([]byte, size)
	var most atomic.Int64
	s := newRig(t, framing.Handler(framing.Lines(64), func(c *worker.Conn, _ []byte) error {
		_, err := c.Write(answer)
		most.Store(max(most.Load(), int64(c.Buffered())))
		return err
	}))
	c := s.connectNarrow()
	c.send(strings.Repeat("x\n", lines))
	c.expect(string(make([]byte, lines*size)))
	c.closeWrite()
	c.expectEnd()
	if most, bound := most.Load(), int64(worker.HighWater+size); most > bound || most <= worker.LowWater {
		t.Errorf("%d bytes were buffered at most, want no more than %d, and more than the low-water mark", most, bound)
	}
}
