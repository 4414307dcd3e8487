package master_test

import (
	"runtime"
	"testing"

	"github.com/usher-go/usher/worker"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if worker.IsWorker() {
		Example() // whose master, in another process, has started this one
	}
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))) // as a master has
	goleak.VerifyTestMain(m)
}
