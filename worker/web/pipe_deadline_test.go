package web

import (
	"errors"
	"os"
	"testing"

	"github.com/usher-go/usher/worker"
)

// TestWriteTimeoutIsADeadline: whether the loop or the handler's goroutine is first to see
// that the deadline has passed, the handler gets net/http's error.
func TestWriteTimeoutIsADeadline(t *testing.T) {
	var p pipe
	p.moved.L = &p.mu
	p.fail(worker.ErrWriteTimeout)
	if err := p.send(append(getBuffer(), 'x')); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
