// Package framing finds the messages in a connection's bytes: lines, frames
// with a length before them, frames of one size, or whatever ends in a delimiter.
//
// A [bufio.SplitFunc] says what a frame is, and this package has those that protocols
// need, each with a limit. They know of no connection: the same one reads in a worker
// and, with a [bufio.Scanner], in its client. One of bufio, or of your own, serves as
// well, if it keeps nothing from call to call: bytes without a whole frame in them are
// split again when more have come.
//
// A worker that needs nothing else uses [Handler]:
//
//	func main() {
//		worker.Main(framing.Handler(framing.Lines(4096), func(c *worker.Conn, line []byte) error {
//			_, err := fmt.Fprintf(c, "%d bytes\n", len(line))
//			return err
//		}))
//	}
//
// A session calls [Each] in its Data, and [Finish] in its EOF, with a method of its own.
//
// The invariant: however the bytes come, in one piece or one by one, the frames
// are the same. A frame is part of the input, not a copy: finding it allocates
// nothing, and it is valid until the function that got it returns.
//
// This package does not write. To write a frame with a length before it, call
// c.Writev(length, body). Its functions with a Conn are for callbacks, on the loop's
// goroutine, and block no more than the function that they are given.
package framing

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/usher-go/usher/worker"
)

// ErrTooLong: a frame is longer than its limit, which the error that wraps this
// one names. It is returned as soon as the bytes show it, without waiting for more.
//
// A limit should be no higher than worker.WithMaxInput, 1 MiB by default, less the
// few bytes of an ending or a length: a frame that does not fit into that ends the
// connection with worker.ErrInputFull.
var ErrTooLong = errors.New("framing: too long")

// Func is given one frame. It may write, close and pause. Appending to frame
// copies it; writing into it is allowed. An error closes the connection after
// flushing.
type Func func(c *worker.Conn, frame []byte) error

// Each gives f every whole frame at the front of in, one after another, and
// returns how many bytes they take, which is what a session's Data returns. It goes
// on only while c is flowing (see worker.Conn.Flowing): frames behind the one at
// which f closed the connection are not given, and those behind a pause come
// again after it. An error is f's or the split's.
func Each(c *worker.Conn, in []byte, split bufio.SplitFunc, f Func) (n int, err error) {
	return each(c, in, false, split, f)
}

// Finish gives f what the split makes of the last bytes: a line without an ending, say.
// When f is done with it, and with its work of worker.Conn.Go and its pauses, the
// connection is closed. It is for a session's EOF, with the rest that EOF is given.
// The error about a binary frame of which only a part has come wraps
// io.ErrUnexpectedEOF.
func Finish(c *worker.Conn, rest []byte, split bufio.SplitFunc, f Func) error {
	n, err := each(c, rest, true, split, f)
	if err != nil {
		return err
	}
	if c.Flowing() {
		return c.Close()
	}
	left := bytes.Clone(rest[n:])
	c.WhenFlowing(func() error { return Finish(c, left, split, f) }) // never called if f has closed it
	return nil
}

// Last is Finish for a session that goes on writing: it does not close the
// connection. Like Each it goes on only while c is flowing, but frames behind a pause
// do not come again: an f that pauses, or calls worker.Conn.Go, needs Finish.
func Last(c *worker.Conn, rest []byte, split bufio.SplitFunc, f Func) error {
	_, err := each(c, rest, true, split, f)
	return err
}

func each(c *worker.Conn, in []byte, atEOF bool, split bufio.SplitFunc, f Func) (n int, err error) {
	for n < len(in) && c.Flowing() {
		size, frame, err := split(in[n:], atEOF)
		if err != nil || size == 0 && frame == nil {
			return n, err
		}
		if size <= 0 || size > len(in)-n {
			return n, fmt.Errorf("framing: the split took %d of %d bytes", size, len(in)-n)
		}
		n += size
		if frame == nil {
			continue // it passed over something
		}
		if err := f(c, slices.Clip(frame)); err != nil {
			return n, err
		}
	}
	return n, nil
}

// Handler returns a handler that keeps nothing for a connection, which so can move to
// another worker at any time. f is given every frame, the last one too; then, when what
// f has begun is done, the connection is closed.
func Handler(split bufio.SplitFunc, f Func) worker.Handler { return &handler{split, f} }

var _ worker.MovableSession = (*handler)(nil)

// handler is the session of all of its connections.
type handler struct {
	split bufio.SplitFunc
	f     Func
}

func (h *handler) Open(*worker.Conn) (worker.Session, error) { return h, nil }

func (h *handler) Data(c *worker.Conn, in []byte) (int, error) { return Each(c, in, h.split, h.f) }

func (h *handler) EOF(c *worker.Conn, rest []byte) error { return Finish(c, rest, h.split, h.f) }

// MarshalBinary and UnmarshalBinary say that there is nothing to take along.
func (h *handler) MarshalBinary() ([]byte, error) { return nil, nil }
func (h *handler) UnmarshalBinary(_ []byte) error { return nil }

// incomplete is what a split returns for a part of a binary frame.
func incomplete(in []byte, atEOF bool) (size int, frame []byte, err error) {
	if atEOF && len(in) > 0 {
		return 0, nil, fmt.Errorf("framing: %w: %d bytes of a frame", io.ErrUnexpectedEOF, len(in))
	}
	return 0, nil, nil
}
