package master

import (
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0))) // as a master has
	goleak.VerifyTestMain(m)
}

// patience bounds every wait of a test for an event.
const patience = 20 * time.Second
