package mailbox

import (
	"sync"
	"sync/atomic"
)

// Bounded takes messages from any goroutine for a loop to act on in order, as long as
// not too many wait. Its mutex is held for an append, never while something runs.
//
// What waits lies in pages, of which 16 at most are kept after a burst. The loop takes
// and acts on as many messages in a turn as it likes:
//
//	Put, Offer ─► posted ─► Collect ─► Left, Next ─► acted on ─► Done
//
// The zero value with its exported fields set is an empty one.
type Bounded[M any] struct {
	// Limit is how many messages may wait before Offer refuses. It does not change.
	Limit int64
	// Notify is as a Mailbox has it.
	Notify func()

	waiting atomic.Int64 // messages that the loop has not acted on

	mu     sync.Mutex
	closed bool
	posted pages[M]     // what the loop has not collected
	spare  pageStack[M] // for posted

	// The loop's goroutine owns the following.
	taken pages[M]     // what it has collected
	read  int          // how many messages of the first page of taken it has read
	empty pageStack[M] // pages that it has read; Collect adds them to spare
}

// page is some messages.
type page[M any] struct {
	messages []M
	next     *page[M]
}

// pages is a list of pages, in the order of their messages.
type pages[M any] struct{ first, last *page[M] }

// pageStack is empty pages, at most pagesKept, that are kept to be filled again.
type pageStack[M any] struct {
	top *page[M]
	n   int
}

const (
	pageMessages = 256
	pagesKept    = 16
)

// Offer is Put unless too many messages wait: then it returns false too.
func (b *Bounded[M]) Offer(message M) bool {
	return b.waiting.Load() < b.Limit && b.Put(message)
}

// Put leaves a message for the loop, whatever waits. It does not block. It returns
// false, and nothing comes of the message, once the mailbox is closed; a loop that is
// about to end may not act on it either.
func (b *Bounded[M]) Put(message M) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.waiting.Add(1)
	p := &b.posted
	if p.last == nil || len(p.last.messages) == pageMessages {
		p.append(b.newPage())
	}
	p.last.messages = append(p.last.messages, message)
	b.Notify()
	return true
}

// newPage returns an empty page. It is called under the lock.
func (b *Bounded[M]) newPage() *page[M] {
	if p := b.spare.pop(); p != nil {
		return p
	}
	return &page[M]{messages: make([]M, 0, pageMessages)}
}

// Collect moves to the loop what was put since the last call. The loop calls it, and
// the following ones.
func (b *Bounded[M]) Collect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if more := b.posted; more.first != nil {
		b.posted = pages[M]{}
		b.taken.append(more.first)
		b.taken.last = more.last
	}
	for b.empty.top != nil {
		b.spare.push(b.empty.pop())
	}
}

// Left reports whether something is collected, and not acted on.
func (b *Bounded[M]) Left() bool { return b.taken.first != nil }

// Next returns one message of what is collected; Left has said that there is one.
func (b *Bounded[M]) Next() M {
	var none M
	p := b.taken.first
	message := p.messages[b.read]
	p.messages[b.read] = none
	if b.read++; b.read == len(p.messages) {
		b.read = 0
		b.taken.first = p.next
		p.messages = p.messages[:0]
		b.empty.push(p)
	}
	return message
}

// Done books that the loop has acted on n messages: they do not wait any more.
func (b *Bounded[M]) Done(n int) { b.waiting.Add(int64(-n)) }

// Close drops what was not collected, and has every further Put and Offer return
// false. When it returns, no Notify runs, and none will.
func (b *Bounded[M]) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.posted, b.spare = pages[M]{}, pageStack[M]{}
}

// push keeps p, which is empty, unless there are enough.
func (s *pageStack[M]) push(p *page[M]) {
	if s.n < pagesKept {
		p.next = s.top
		s.top = p
		s.n++
	}
}

// pop returns an empty page, or nil.
func (s *pageStack[M]) pop() *page[M] {
	p := s.top
	if p != nil {
		s.top, p.next = p.next, nil
		s.n--
	}
	return p
}

// append adds the pages from first on. If they are several, the caller sets last.
func (p *pages[M]) append(first *page[M]) {
	if p.first == nil {
		p.first = first
	} else {
		p.last.next = first
	}
	p.last = first
}
