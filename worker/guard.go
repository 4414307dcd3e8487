package worker

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/usher-go/usher/internal/caller"
)

// Whoever calls the loop's methods from another goroutine races with it, and its
// bytes may end in the cork of another connection. So each method of Conn, Timer and
// Dialer that is not for any goroutine looks first whose it is: under 2 ns.

// ErrWrongGoroutine is what methods of a Conn return on another goroutine than
// their loop's: they do nothing there. The first such call of a loop is logged, with
// its stack. With USHER_DEBUG=1 in the environment, in a program built with the race
// detector, and in package workertest each panics instead.
//
// On another goroutine, Conn.Post has the loop call a function, and Conn.Go's then
// runs on the loop. The function that iter.Pull is given is such a goroutine too.
var ErrWrongGoroutine = errors.New("worker: not on the loop's goroutine")

// debugVariable set to 1 has mistakes panic.
const debugVariable = "USHER_DEBUG"

func debugging() bool { return raceDetector || os.Getenv(debugVariable) == "1" }

// bind makes the calling goroutine the loop's.
func (l *loop) bind() {
	if id := caller.ID(); l.owner != id {
		l.owner = id
	}
}

// here reports whether the calling goroutine is the loop's.
func (l *loop) here() bool { return caller.ID() == l.owner }

// stray is called on any goroutine but the loop's, in the place of a method.
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
