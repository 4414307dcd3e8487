package worker

import (
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// aborting is what a process does when it is aborted, by the master since its loop has
// stood still. As long as the loop is locked to its thread, that is Go's own affair: the
// thread gets SIGABRT, and Go prints the stack that it runs, then those of goroutines that
// wait. Once the loop may be on any thread (loop.loosen), the process gets the signal, and
// Go, on whichever thread that is, has no stack of a goroutine that computes on another.
// From then on this one prints them, with the world stopped, and ends the process with the
// same status. It needs a goroutine, so it cannot do what Go does if none can run: then the
// master kills the process after a while.
//
// The zero value does nothing yet. It is for the loop's goroutine.
type aborting struct {
	signals chan os.Signal // nil: Go prints
	printer sync.WaitGroup
}

// maxStacks bounds what is printed. The loop's goroutine comes first as a rule, since it is
// the program's first one; 10,000 handlers may follow.
const maxStacks = 4 << 20

// printStacks has this process print its stacks by itself from now on.
func (a *aborting) printStacks() {
	if a.signals != nil {
		return
	}
	signals := make(chan os.Signal, 1)
	a.signals = signals
	signal.Notify(signals, unix.SIGABRT)
	a.printer.Go(func() {
		if _, ok := <-signals; ok {
			writeStacks(os.Stderr)
			os.Exit(2) // as Go does
		}
	})
}

// end leaves the signal to Go again.
func (a *aborting) end() {
	if a.signals == nil {
		return
	}
	signal.Stop(a.signals) // when it returns, none is sent any more
	close(a.signals)
	a.printer.Wait()
}

// writeStacks writes all goroutines' stacks, for an operator.
func writeStacks(to io.Writer) {
	b := make([]byte, 64<<10)
	n := runtime.Stack(b, true)
	for n == len(b) && len(b) < maxStacks {
		b = make([]byte, 4*len(b))
		n = runtime.Stack(b, true)
	}
	_, _ = io.WriteString(to, "SIGABRT: abort\n\n") // nobody is left to tell of an error
	_, _ = to.Write(b[:n])                          // likewise
}
