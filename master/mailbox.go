package master

import "sync"

// mailbox takes messages from any goroutine for one that reads them in order.
// Putting never blocks, so that no two goroutines of the master can wait for
// each other; what may be put is bounded by what there is (workers, signals,
// requests), not by the mailbox.
type mailbox[M any] struct {
	notify func() // called after each put, from the putting goroutine

	mu     sync.Mutex
	posted []M
	taken  []M // the reader's, kept to be filled again
}

func (m *mailbox[M]) put(message M) {
	m.mu.Lock()
	m.posted = append(m.posted, message)
	m.mu.Unlock()
	m.notify()
}

// take returns all that was put since the last call, valid until the next.
func (m *mailbox[M]) take() []M {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.taken)
	m.posted, m.taken = m.taken[:0], m.posted
	return m.taken
}

// empty reports whether nothing was put since the last take.
func (m *mailbox[M]) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.posted) == 0
}
