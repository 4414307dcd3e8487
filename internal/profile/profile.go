// Package profile has a process say what it is doing: the stacks of its goroutines, and
// profiles, as text in memory of a bounded length. It waits for no lock of the program's, so
// that one which is stuck can still be asked.
//
// A process has one CPU profile and one trace at a time, whoever makes them: that is the
// runtime's limit. Stacks and heap profiles can be had at any time.
package profile

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"time"
)

// maxStacks is the most text of stacks, in bytes: those of some 10,000 goroutines. What is
// beyond is cut.
const maxStacks = 16 << 20

// Stacks returns the stacks of all goroutines, as a panic prints them; all stand still
// meanwhile.
func Stacks() []byte {
	for size := 64 << 10; ; size *= 4 {
		b := make([]byte, min(size, maxStacks))
		if n := runtime.Stack(b, true); n < len(b) || n == maxStacks {
			return b[:n]
		}
	}
}

// The kinds of profiles.
const (
	cpu        = "cpu"   // where time is spent, for go tool pprof
	heap       = "heap"  // what was allocated, and lived at the last garbage collection; likewise
	executions = "trace" // what each goroutine does when, for go tool trace
)

// Make makes a profile of a kind. Those of cpu and trace take as long as d says, or until ctx
// is done, which is no error; it blocks meanwhile. Errors: there is no such kind, somebody
// else makes one of that kind, or it would be longer than limit, in bytes.
func Make(ctx context.Context, kind string, d time.Duration, limit int) ([]byte, error) {
	text := boundedText{limit: limit, full: make(chan struct{})}
	var begin func() error
	var end func()
	switch kind {
	case heap:
		if err := pprof.Lookup("heap").WriteTo(&text, 0); err != nil {
			return nil, err
		}
		return text.bytes()
	case cpu:
		begin, end = func() error { return pprof.StartCPUProfile(&text) }, pprof.StopCPUProfile
	case executions:
		begin, end = func() error { return trace.Start(&text) }, trace.Stop
	default:
		return nil, fmt.Errorf("there is no profile %q", kind)
	}
	if err := begin(); err != nil {
		return nil, err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-text.full:
	case <-ctx.Done():
	}
	end()
	return text.bytes()
}

// boundedText holds what is written to it, up to a limit. It takes everything, since the
// runtime cannot stand an error. One goroutine writes, and bytes comes after that.
type boundedText struct {
	buffer bytes.Buffer
	limit  int
	cut    bool
	full   chan struct{} // closed when something is cut
}

func (t *boundedText) Write(b []byte) (int, error) {
	switch {
	case t.cut:
	case t.buffer.Len()+len(b) > t.limit:
		t.cut = true
		close(t.full)
	default:
		return t.buffer.Write(b)
	}
	return len(b), nil
}

func (t *boundedText) bytes() ([]byte, error) {
	if t.cut {
		return nil, fmt.Errorf("it is longer than %d bytes: ask for fewer seconds", t.limit)
	}
	return t.buffer.Bytes(), nil
}
