package web

import "sync"

// maxWaiting is how many requests wait for one of MaxRunning goroutines.
const maxWaiting = 1000

// running counts the requests that are served on goroutines, and keeps those that wait for
// their turn, in order. It is for any goroutine.
type running struct {
	mu      sync.Mutex
	n       int
	waiting []*exchange // some of which may have given up: see exchange.gone
	head    int         // of waiting
	gone    int         // that have given up, in waiting
}

// enter says what to do with x: start it, have it wait (then leave will return it), or
// refuse it.
func (r *running) enter(x *exchange, limit int) (start, refuse bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n < limit {
		r.n++
		return true, false
	}
	if len(r.waiting)-r.head-r.gone >= maxWaiting {
		return false, true
	}
	if r.head > maxWaiting || len(r.waiting) > 2*maxWaiting {
		r.compact()
	}
	r.waiting = append(r.waiting, x)
	x.waits = true
	return false, false
}

// compact drops those at whose place nobody waits any more.
func (r *running) compact() {
	kept := r.waiting[:0]
	for _, x := range r.waiting[r.head:] {
		if x != nil && x.waits {
			kept = append(kept, x)
		}
	}
	clear(r.waiting[len(kept):])
	r.waiting, r.head, r.gone = kept, 0, 0
}

// leave takes one off the count, and returns who is to start in its place; nil: nobody.
func (r *running) leave() *exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.head < len(r.waiting) {
		x := r.waiting[r.head]
		r.waiting[r.head] = nil
		r.head++
		if x.waits {
			x.waits = false
			return x
		}
		r.gone--
	}
	r.waiting, r.head = r.waiting[:0], 0
	r.n--
	return nil
}

// giveUp takes x out of those that wait, and reports whether it did.
func (r *running) giveUp(x *exchange) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !x.waits {
		return false
	}
	x.waits = false
	r.gone++
	return true
}
