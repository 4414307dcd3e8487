package worker

import (
	"container/list"
	"sync"
)

// passing are the connections of a member's streams that are on their way to Accept: their
// passage has a header or a handshake. Each has a goroutine of its own (streampassage.go).
//
// Peers are strangers, so those that wait for theirs are bounded, and for a newcomer the
// oldest of them is closed. Those that compute, or wait for a place to, are kept by this
// worker, not by their peers, and do not count. Any goroutine may use it.
type passing struct {
	most int // how many may wait; it does not change

	mu      sync.Mutex
	order   list.List // of *stream, the oldest first
	waiting int       // how many of them wait for their peers

	goroutines sync.WaitGroup // those of the connections, and those that close some
}

// passingPlace is where a connection is among those that are passing. Its mutex guards it.
type passingPlace struct {
	element *list.Element // nil: it is not there (any more)
	waits   bool
}

// add adds one.
func (p *passing) add(c *stream) {
	p.mu.Lock()
	c.place.element = p.order.PushBack(c)
	p.mu.Unlock()
}

// remove takes one out. It may have been taken out before.
func (p *passing) remove(c *stream) {
	p.mu.Lock()
	p.removeLocked(c)
	p.mu.Unlock()
}

func (p *passing) removeLocked(c *stream) {
	if c.place.element == nil {
		return
	}
	p.order.Remove(c.place.element)
	c.place.element = nil
	if c.place.waits {
		c.place.waits = false
		p.waiting--
	}
}

// wait says whether c waits for its peer. If too many do, it takes the oldest of them out,
// and returns that for the caller to drop.
func (p *passing) wait(c *stream, waits bool) (crowded *stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.place.element == nil || c.place.waits == waits {
		return nil
	}
	c.place.waits = waits
	if !waits {
		p.waiting--
		return nil
	}
	if p.waiting++; p.waiting <= p.most {
		return nil
	}
	for e := p.order.Front(); ; e = e.Next() {
		if c := e.Value.(*stream); c.place.waits {
			p.removeLocked(c)
			return c
		}
	}
}

// of returns those of a listener.
func (p *passing) of(l *streamListener) (all []*stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.order.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*stream); c.listener == l {
			all = append(all, c)
		}
	}
	return all
}
