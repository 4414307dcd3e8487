package worker_test

import (
	"fmt"
	"iter"
	"os"
	"time"

	"github.com/usher-go/usher/worker"
)

// What all connections use is opened before the first and closed after the last.
func ExampleWithHooks() {
	var journal *os.File
	record := worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		return journal.Write(in)
	})
	if worker.IsWorker() {
		worker.Main(record, worker.WithHooks(worker.Hooks{
			Start: func() (err error) {
				journal, err = os.OpenFile("journal", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
				return err
			},
			Stop: func() { _ = journal.Close() }, // written to without a buffer
		}))
	}
}

// Every connection is told the time, every second.
func ExampleWithTick() {
	silent := worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) { return len(in), nil })
	if worker.IsWorker() {
		worker.Main(silent, worker.WithTick(time.Second, func(conns iter.Seq[*worker.Conn]) {
			now := fmt.Appendln(nil, time.Now().Format(time.TimeOnly))
			for c := range conns {
				_, _ = c.Write(now) // one that does not read misses it
			}
		}))
	}
}
