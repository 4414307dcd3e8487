package main

import (
	"os"
	"sync"
	"time"

	"github.com/usher-go/usher/master"
)

// outputs are where this process writes: each has a queue and a goroutine of its
// own, so that nobody who does not read holds up who writes.
type outputs struct {
	stderr *master.LogWriter
	all    []*master.LogWriter
}

func newOutputs() *outputs {
	stderr := master.NewLogWriter(os.Stderr)
	return &outputs{stderr: stderr, all: []*master.LogWriter{stderr}}
}

// add has end wait for another one, too.
func (o *outputs) add(w *master.LogWriter) *master.LogWriter {
	o.all = append(o.all, w)
	return w
}

// lastWrites is how long the end of the process waits for those that do not read.
const lastWrites = time.Second

// end returns when everything is written, or after lastWrites.
func (o *outputs) end() {
	var all sync.WaitGroup
	for _, w := range o.all {
		all.Go(func() { w.Flush(lastWrites) })
	}
	all.Wait()
}
