package worker_test

import (
	"fmt"
	"iter"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
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

// Every connection is told how many there are, every ten seconds.
func ExampleWithTick() {
	silent := worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) { return len(in), nil })
	tell := worker.WithTick(10*time.Second, func(conns iter.Seq[*worker.Conn]) {
		all := slices.Collect(conns)
		for _, c := range all {
			_, _ = fmt.Fprintln(c, len(all), "here") // one that does not read misses it
		}
	})
	if worker.IsWorker() {
		worker.Main(silent, tell)
	}

	w := workertest.New(&testing.T{}, silent, tell) // as a test does: its clock goes on when told
	first := w.Connect()
	w.Advance(11 * time.Second)
	second := w.Connect()
	w.Advance(10 * time.Second)
	fmt.Printf("%q %q\n", first.Received(), second.Received())
	// Output: "1 here\n2 here\n" "2 here\n"
}
