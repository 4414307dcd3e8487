package worker

import (
	"sync"

	"github.com/usher-go/usher/internal/epoll"
)

// mailbox takes functions from any goroutine, for the loop to run in order. Its
// mutex is held for an append, never while something runs.
type mailbox struct {
	waker *epoll.Waker

	mu     sync.Mutex
	closed bool
	posted []func()
	taken  []func() // the loop's, kept to be filled again
}

// post does not block. It returns false, and f is never run, once the loop has
// ended; a loop that is about to end may not run it either.
func (m *mailbox) post(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.posted = append(m.posted, f)
	m.waker.Wake() // under the lock: close waits, so the eventfd is open
	return true
}

// take returns what was posted since the last call, valid until the next. The
// loop calls it when the waker's event comes.
func (m *mailbox) take() []func() {
	m.waker.Clear()
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.taken)
	m.posted, m.taken = m.taken[:0], m.posted
	return m.taken
}

func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.posted = nil
	_ = m.waker.Close() // an eventfd has nothing to flush
}
