package tlsrecord

import "math/rand/v2"

// maxCached is how many pairs of ciphers a Cache keeps, of 1.6 KiB each with AES-GCM.
const maxCached = 1024

// Cache keeps the ciphers of those layers that were busy lately, so that all others are
// small. The zero value is empty. One goroutine uses it and its layers.
//
// When it is full, any one makes room for the next, and not the one that was used
// longest ago: where a few more than it holds are busy in turn, that is always the one
// that is needed next.
type Cache struct {
	quiet
	held []*entry
}

// entry is a layer's place in a Cache, or what it has without one. The ciphers are not in
// it but behind it, where fmt does not look: see Secret.
type entry struct {
	quiet
	owner   *Layer
	place   int  // in the cache's list
	busy    bool // used since the last Sweep
	ciphers *ciphers
}

// busyCiphers returns what there is of a layer's ciphers, which will be used now.
func (l *Layer) busyCiphers() *ciphers {
	if l.entry == nil {
		l.entry = &entry{owner: l, ciphers: new(ciphers)}
		if l.cache != nil {
			l.cache.add(l.entry)
		}
	}
	l.entry.busy = true
	return l.entry.ciphers
}

func (l *Layer) dropCiphers() {
	if l.entry == nil {
		return
	}
	if l.cache != nil {
		l.cache.remove(l.entry)
	}
	l.entry.drop()
}

// drop takes the ciphers from their owner, who builds others when it needs them.
func (e *entry) drop() {
	e.owner.entry = nil
	*e.ciphers = ciphers{}
	*e = entry{}
}

func (c *Cache) add(e *entry) {
	if len(c.held) >= maxCached {
		other := c.held[rand.IntN(len(c.held))]
		c.remove(other)
		other.drop()
	}
	e.place = len(c.held)
	c.held = append(c.held, e)
}

func (c *Cache) remove(e *entry) {
	last := len(c.held) - 1
	c.held[e.place] = c.held[last]
	c.held[e.place].place = e.place
	c.held[last] = nil
	c.held = c.held[:last]
}

// Sweep drops the ciphers that were not used since the Sweep before, and says how many
// pairs are left: with none there is nothing to sweep until something is used.
func (c *Cache) Sweep() (left int) {
	for i := len(c.held) - 1; i >= 0; i-- {
		e := c.held[i]
		if e.busy {
			e.busy = false
			continue
		}
		c.remove(e)
		e.drop()
	}
	if len(c.held) == 0 {
		c.held = nil
	}
	return len(c.held)
}
