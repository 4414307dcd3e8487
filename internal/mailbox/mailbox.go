// Package mailbox passes messages from any goroutine to the one that owns an event
// loop, which reads them in order. What a message is, its user decides.
//
// There are two kinds. A Mailbox never refuses a message: it is for messages that are few
// by their nature. A Bounded is for senders who could be faster than the loop. Both tell
// the loop by a function, most often a poller.Waker's Wake.
package mailbox

import "sync"

// Mailbox takes messages from any goroutine for one that reads them in order.
// Putting never blocks, so that no two loops can wait for each other. The mailbox has no
// bound: how many messages there can be follows from what they are about (workers,
// signals, requests). The zero value with Notify set is an empty one.
type Mailbox[M any] struct {
	// Notify is called in each Put, on the putting goroutine and under the mailbox's
	// lock: it must not block, and never runs after Close. It is set before the first Put.
	Notify func()

	mu     sync.Mutex
	closed bool
	posted []M // not yet taken
	taken  []M // what the last Take has returned; it is filled again after the next
}

// Put leaves a message for the reader. It returns false, and nothing comes of the
// message, once the mailbox is closed; a reader that is about to end may not read it
// either.
func (m *Mailbox[M]) Put(message M) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.posted = append(m.posted, message)
	m.Notify()
	return true
}

// Take returns all that was put since the last call, valid until the next. Only the
// reader calls it.
func (m *Mailbox[M]) Take() []M {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.taken)
	m.posted, m.taken = m.taken[:0], m.posted
	return m.taken
}

// Empty reports whether nothing was put since the last Take. It is for any goroutine.
func (m *Mailbox[M]) Empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.posted) == 0
}

// Close returns what was not taken, for who owns something in it, and has every further
// Put return false. When it returns, no Notify runs, and none will.
func (m *Mailbox[M]) Close() (left []M) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	left, m.posted = m.posted, nil
	return left
}
