package worker

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/usher-go/usher/internal/caller"
)

// A method of Conn, Timer or Dialer that is called on another goroutine would race with
// the loop, and its bytes might end in the cork of another connection. So each of them
// that is not for any goroutine first looks (here) which goroutine calls: in under 2 ns.

// ErrWrongGoroutine is what methods of a Conn return on another goroutine than
// their loop's: they do nothing there. The first such call of a loop is logged, with
// its stack. With USHER_DEBUG=1 in the environment, in a program built with the race
// detector, and in package workertest each such call panics instead.
//
// From another goroutine, use Conn.Post, which has the loop call a function; the then of
// Conn.Go runs on the loop, too. The function that iter.Pull is given runs on a
// goroutine of its own.
var ErrWrongGoroutine = errors.New("worker: not on the loop's goroutine")

// debugVariable set to 1 has mistakes panic.
const debugVariable = "USHER_DEBUG"

func debugging() bool { return raceDetector || os.Getenv(debugVariable) == "1" }

// bind makes the calling goroutine the loop's. It writes only what changes: others read
// owner at any time.
func (l *loop) bind() {
	if id := caller.ID(); l.owner != id {
		l.owner = id
	}
}

// here reports whether the calling goroutine is the loop's.
func (l *loop) here() bool { return caller.ID() == l.owner }

// stray is what a method does on another goroutine than the loop's: it returns
// ErrWrongGoroutine, and logs the first time, or panics.
func (l *loop) stray(method string) error {
	if l.strict {
		panic(fmt.Sprintf("worker: %s was called on another goroutine than the loop's; "+
			"have the loop call it: c.Post(func(c *worker.Conn) { … }), or d.Post for a Dialer", method))
	}
	err := fmt.Errorf("%w: %s; use Post", ErrWrongGoroutine, method)
	if l.strayed.CompareAndSwap(false, true) {
		l.log.Error("call ignored, and further ones in silence", "error", err, "stack", string(debug.Stack()))
	}
	return err
}
