package webconform

import (
	"context"
	"sync"
)

// running counts the handlers that run. The zero value counts none; it is for any
// goroutine.
type running struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed when there is none; nil: nobody waits
}

func (r *running) add(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n += n; r.n == 0 && r.none != nil {
		close(r.none)
		r.none = nil
	}
}

// wait waits until there is none, or until ctx is done.
func (r *running) wait(ctx context.Context) error {
	r.mu.Lock()
	if r.n == 0 {
		r.mu.Unlock()
		return nil
	}
	if r.none == nil {
		r.none = make(chan struct{})
	}
	none := r.none
	r.mu.Unlock()
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
