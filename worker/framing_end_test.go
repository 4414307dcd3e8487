package worker_test

import (
	"bufio"
	"errors"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/framing"
)

// oneByOne is a split that finds frames of a byte each, and none before the end: a
// digest that comes last, say.
func oneByOne(in []byte, atEOF bool) (int, []byte, error) {
	if !atEOF || len(in) == 0 {
		return 0, nil, nil
	}
	return 1, in[:1], nil
}

// A client that sends its last line without an end, and finishes, has the answer
// to it, however long that takes and whatever it waits for.
func TestFramingAnswersTheLastLineLater(t *testing.T) {
	answer := func(c *worker.Conn, line []byte) {
		if _, err := c.Writev([]byte("got "), line, []byte("\n")); err != nil {
			t.Error(err)
		}
	}
	ways := map[string]framing.Func{
		"at once": func(c *worker.Conn, line []byte) error { answer(c, line); return nil },
		"by Go": func(c *worker.Conn, line []byte) error {
			kept := string(line)
			c.Go(func() {}, func() { answer(c, []byte(kept)) })
			return nil
		},
		"by Go, twice": func(c *worker.Conn, line []byte) error {
			kept := string(line)
			c.Go(func() {}, func() { c.Go(func() {}, func() { answer(c, []byte(kept)) }) })
			return nil
		},
		"in a pause": func(c *worker.Conn, line []byte) error {
			kept := string(line)
			c.Pause()
			c.After(time.Millisecond, func() { answer(c, []byte(kept)); c.Resume() })
			return nil
		},
		"by Go, in a pause": func(c *worker.Conn, line []byte) error {
			kept := string(line)
			c.Pause()
			c.Go(func() {}, func() {
				c.After(0, func() { answer(c, []byte(kept)); c.Resume() })
			})
			return nil
		},
	}
	inputs := []struct {
		name, in, want string
		split          bufio.SplitFunc
	}{
		{"one", "a\nb", "got a\ngot b\n", framing.Lines(64)},
		{"several at the end", "abc", "got a\ngot b\ngot c\n", oneByOne},
	}
	for name, f := range ways {
		for _, input := range inputs {
			t.Run(name+", "+input.name, func(t *testing.T) {
				s := newRig(t, framing.Handler(input.split, f))
				c := s.connect()
				c.send(input.in)
				c.closeWrite()
				c.expect(input.want)
				c.expectEnd()
				check(t, c.Close())
			})
		}
	}
}

// What goes wrong with the last ones ends the connection, as with any.
func TestFramingFailsAtTheLastLine(t *testing.T) {
	wrong := errors.New("not that one")
	h := newRecorder(nil)
	split := bufio.SplitFunc(oneByOne)
	frame := func(c *worker.Conn, frame []byte) error {
		if string(frame) == "b" {
			return wrong
		}
		c.Go(func() {}, func() { _, _ = c.Write([]byte("got a\n")) }) // the client waits for it
		return nil
	}
	h.data = func(c *worker.Conn, in []byte) (int, error) { return framing.Each(c, in, split, frame) }
	s := newRig(t, worker.OpenFunc(func(*worker.Conn) (worker.Session, error) {
		return finishing{h, func(c *worker.Conn, rest []byte) error { return framing.Finish(c, rest, split, frame) }}, nil
	}))
	c := s.connect()
	c.send("abc")
	c.closeWrite()
	c.expect("got a\n")
	c.expectEnd()
	h.expectClose(t, wrong)
}

// finishing is a recorder that goes on at the end of the input.
type finishing struct {
	*recorder
	eof func(c *worker.Conn, rest []byte) error
}

func (s finishing) EOF(c *worker.Conn, rest []byte) error { return s.eof(c, rest) }

// A drain that moves connections leaves one that has its last line to answer where
// it is, and the others go.
func TestFramingMovesNoLastLine(t *testing.T) {
	release, started := make(chan struct{}), make(chan struct{}, 1)
	h := framing.Handler(framing.Lines(64), func(c *worker.Conn, line []byte) error {
		if string(line) == "last" {
			c.Pause() // beside the work, which alone would hold it
			c.Go(func() { started <- struct{}{}; <-release }, func() {
				_, _ = c.Write([]byte("done\n")) // the client waits for it
				c.After(time.Millisecond, c.Resume)
			})
			return nil
		}
		_, err := c.Writev(line, []byte("\n"))
		return err
	})
	old, next := newRig(t, h), newRig(t, h)
	c, other := old.connect(), old.connect()
	c.send("last")
	c.closeWrite()
	await(t, started)
	old.tell(ipc.Drain{Mode: ipc.DrainMove})
	old.route(next, 1)
	other.send("moved\n")
	other.expect("moved\n")
	check(t, other.Close())
	close(release)
	c.expect("done\n")
	c.expectEnd()
	check(t, c.Close())
	old.expectDrained()
}

// What waits for a pause to end is called when it has, not within, once; and not
// on a connection that has come to its end before.
func TestWhenFlowing(t *testing.T) {
	_, client, c, h := opened(t)
	say := func(c *worker.Conn, text string) {
		if _, err := c.Write([]byte(text)); err != nil {
			t.Error(err)
		}
	}
	c.Post(func(c *worker.Conn) {
		c.WhenFlowing(func() error { say(c, "first "); return nil })
		say(c, "now ") // it flows, but not within a callback
	})
	client.expect("now first ")
	paused := make(chan struct{})
	c.Post(func(c *worker.Conn) {
		c.Pause()
		c.WhenFlowing(func() error { t.Error("replaced, but called"); return nil })
		c.WhenFlowing(func() error { say(c, "second "); return nil })
		close(paused)
	})
	await(t, paused)
	client.send("input ")
	c.Post(func(c *worker.Conn) { say(c, "paused "); c.Resume(); say(c, "resumed ") })
	client.expect("paused resumed second input ")
	c.Post(func(c *worker.Conn) {
		c.Pause()
		c.WhenFlowing(func() error { t.Error("called after the end"); return nil })
		c.Resume()
		check(t, c.Close())
		c.WhenFlowing(func() error { t.Error("called after Close"); return nil })
	})
	client.expectEnd()
	check(t, client.Close())
	h.expectClose(t, nil)
}

// An error of it, and a panic, are the session's.
func TestWhenFlowingFails(t *testing.T) {
	for want, f := range map[error]func() error{
		errTest:         func() error { return errTest },
		worker.ErrPanic: func() error { panic("a bug") },
	} {
		_, client, c, h := opened(t)
		c.Post(func(c *worker.Conn) { c.WhenFlowing(f) })
		client.expectEnd()
		check(t, client.Close())
		h.expectClose(t, want)
	}
}
