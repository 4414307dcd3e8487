package worker

import (
	"sync"

	"github.com/usher-go/usher/internal/epoll"
)

// mailbox takes letters from any goroutine, for the loop to act on in order. Its
// mutex is held for an append, never while something runs.
type mailbox struct {
	waker *epoll.Waker

	mu     sync.Mutex
	closed bool
	posted []letter
	taken  []letter // the loop's, kept to be filled again
}

// letter is one of: work that is done; a function for a connection; a function
// for the loop.
type letter struct {
	job  *job
	conn *Conn
	f    func(c *Conn) // c is nil without conn
}

// post is put for a function of the loop.
func (m *mailbox) post(f func()) bool { return m.put(letter{f: func(*Conn) { f() }}) }

// put does not block. It returns false, and nothing comes of it, once the loop
// has ended; a loop that is about to end may not act on it either.
func (m *mailbox) put(what letter) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.posted = append(m.posted, what)
	if len(m.posted) == 1 { // else it has been woken for the first
		m.waker.Wake() // under the lock: close waits, so the eventfd is open
	}
	return true
}

// take returns what was put in since the last call, valid until the next. The
// loop calls it when the waker's event comes.
func (m *mailbox) take() []letter {
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
