package worker_test

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"testing"

	"github.com/usher-go/usher/worker"
	"go.uber.org/goleak"
)

// helperVariable names, in a re-executed test binary, the program to be.
const helperVariable = "WORKER_TEST_HELPER"

// helpers are the worker programs that the tests start.
var helpers = map[string]func(){
	"echo":       func() { worker.Main(worker.DataFunc(echo)) },
	"access log": ExampleWithAccessLog,
	// It never returns from a callback.
	"stuck": func() {
		worker.Main(worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
			if _, err := os.Stdout.Write(in); err != nil {
				return 0, err
			}
			select {}
		}))
	},
	// It burns the processor and never returns from a callback.
	"spinning": func() {
		worker.Main(worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
			if _, err := os.Stdout.Write(in); err != nil {
				return 0, err
			}
			for n := 0; ; n++ {
				_ = n // only asynchronous preemption gets in here
			}
		}))
	},
	"stream-panics": func() { worker.Main(worker.Streams(func(net.Listener) error { panic("a bug of the program") })) },
	"metrics":       serveWithMetrics,
	// It tells what its own children would see.
	"nosy": func() {
		before := worker.IsWorker()
		worker.Main(worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
			_, inherited := os.LookupEnv("USHER_SLOT")
			if _, metrics := os.LookupEnv("USHER_METRICS"); metrics {
				inherited = true
			}
			fmt.Fprintf(os.Stdout, "before=%v after=%v environment=%v ignored=%v\n",
				before, worker.IsWorker(), inherited, signal.Ignored(os.Interrupt))
			return len(in), nil
		}))
	},
}

func TestMain(m *testing.M) {
	if helper := helpers[os.Getenv(helperVariable)]; helper != nil {
		helper()
		return
	}
	// The runtime's poller opens its descriptors when the first file wants it:
	// before any test counts.
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	_ = r.Close() // nothing was written
	_ = w.Close() // likewise
	goleak.VerifyTestMain(m)
}

func echo(c *worker.Conn, in []byte) (int, error) { return c.Write(in) }
