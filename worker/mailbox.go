package worker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/usher-go/usher/internal/poller"
)

// mailbox takes letters from any goroutine, for the loop to act on in order. Its
// mutex is held for an append, never while something runs.
//
// What waits is bounded for all connections together, and lies in pages that are
// the collector's once they are read: a burst leaves 96 KiB of them. The loop acts on
// a share in each turn, so that those who post do not have it to themselves; what the
// loop itself is to do, at its master's word say, comes before all letters.
type mailbox struct {
	waker   *poller.Waker
	waiting atomic.Int64 // letters that the loop has not acted on

	mu     sync.Mutex
	closed bool
	orders []func()
	posted pages
	spare  pageStack

	// The loop's: what it has taken.
	taken  pages
	read   int       // letters of the first page
	empty  pageStack // to spare
	served bool      // this turn's share is used up
}

// letter is one of: work that is done; a function for a connection; a function
// for the loop.
type letter struct {
	job  *job
	conn *Conn
	f    func(c *Conn) // c is nil without conn
}

// page is some letters, 6 KiB. Pages are lists: in order, the last one not full.
type page struct {
	letters []letter
	next    *page
}

type pages struct{ first, last *page }

// pageStack is empty pages that are kept.
type pageStack struct {
	top *page
	n   int
}

const (
	pageLetters = 256
	pagesKept   = 16
)

const (
	// maxLetters bounds what waits, at 24 MiB beside what the functions hold.
	maxLetters = 1 << 20
	// lettersPerTurn and letterTime bound how long letters keep events and timers
	// waiting. The clock is read for every few letters.
	lettersPerTurn  = eventsPerTurn
	letterTime      = time.Millisecond
	lettersPerClock = 16
)

// post has the loop itself call f, before all letters. It does not block. It returns
// false, and nothing comes of it, once the loop has ended; a loop that is about to
// end may not act on it either.
func (m *mailbox) post(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.orders = append(m.orders, f)
	m.waker.Wake() // under the lock: close waits, so the eventfd is open
	return true
}

// offer is put unless too many letters wait: then it returns false too.
func (m *mailbox) offer(what letter) bool {
	return m.waiting.Load() < maxLetters && m.put(what)
}

// put is as post, for a letter.
func (m *mailbox) put(what letter) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.waiting.Add(1)
	p := &m.posted
	if p.last == nil || len(p.last.letters) == pageLetters {
		p.append(m.newPage())
	}
	p.last.letters = append(p.last.letters, what)
	m.waker.Wake() // as in post
	return true
}

// newPage returns an empty page. It is called under the lock.
func (m *mailbox) newPage() *page {
	if p := m.spare.pop(); p != nil {
		return p
	}
	return &page{letters: make([]letter, 0, pageLetters)}
}

// push keeps p, which is empty, unless there are enough.
func (s *pageStack) push(p *page) {
	if s.n < pagesKept {
		p.next = s.top
		s.top = p
		s.n++
	}
}

func (s *pageStack) pop() *page {
	p := s.top
	if p != nil {
		s.top, p.next = p.next, nil
		s.n--
	}
	return p
}

func (p *pages) append(first *page) {
	if p.first == nil {
		p.first = first
	} else {
		p.last.next = first
	}
	p.last = first
}

// take moves to the loop what was put in since the last call, and returns what it is
// to do itself. The loop calls it when the waker's event comes.
func (m *mailbox) take() (orders []func()) {
	m.waker.Clear()
	m.mu.Lock()
	defer m.mu.Unlock()
	orders, m.orders = m.orders, nil
	m.collect()
	return orders
}

// takeLetters is take for letters alone: orders wait for the waker's event.
func (m *mailbox) takeLetters() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.collect()
}

// collect moves the letters to the loop. It is called under the lock.
func (m *mailbox) collect() {
	if more := m.posted; more.first != nil {
		m.posted = pages{}
		m.taken.append(more.first)
		m.taken.last = more.last
	}
	for m.empty.top != nil {
		m.spare.push(m.empty.pop())
	}
}

// left reports whether something is taken, and not acted on. The loop calls it.
func (m *mailbox) left() bool { return m.taken.first != nil }

// next returns one letter of what is taken; left has said that there is one.
func (m *mailbox) next() letter {
	p := m.taken.first
	what := p.letters[m.read]
	p.letters[m.read] = letter{}
	if m.read++; m.read == len(p.letters) {
		m.read = 0
		m.taken.first = p.next
		p.letters = p.letters[:0]
		m.empty.push(p)
	}
	return what
}

func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.orders, m.posted, m.spare = nil, pages{}, pageStack{}
	_ = m.waker.Close() // an eventfd has nothing to flush
}

// obeyOrders acts on what the loop itself is to do, and takes the letters that have
// come.
func (l *loop) obeyOrders() {
	for _, order := range l.mailbox.take() {
		order()
		l.settle()
		l.progress()
	}
}

// readLetters acts on this turn's share of the letters, once, and returns how many
// those were.
func (l *loop) readLetters() (n int) {
	if l.mailbox.served {
		return 0
	}
	l.mailbox.served = true
	begun := time.Duration(0)
	for n < lettersPerTurn && l.mailbox.left() {
		l.open(l.mailbox.next())
		l.settle()
		l.progress()
		if n++; n%lettersPerClock == 0 {
			now := l.now()
			if n == lettersPerClock {
				begun = now
			} else if now-begun > letterTime {
				break
			}
		}
	}
	l.mailbox.waiting.Add(int64(-n))
	return n
}

// open acts on one letter.
func (l *loop) open(what letter) {
	switch {
	case what.job != nil:
		l.finishWork(what.job)
	case what.conn != nil:
		what.conn.receive(what.f)
	default:
		what.f(nil)
	}
}
