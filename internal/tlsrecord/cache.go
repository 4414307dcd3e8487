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
	held []*ciphers
}

func (c *Cache) add(p *ciphers) {
	if len(c.held) >= maxCached {
		other := c.held[rand.IntN(len(c.held))]
		c.remove(other)
		other.drop()
	}
	p.place = len(c.held)
	c.held = append(c.held, p)
}

func (c *Cache) remove(p *ciphers) {
	last := len(c.held) - 1
	c.held[p.place] = c.held[last]
	c.held[p.place].place = p.place
	c.held[last] = nil
	c.held = c.held[:last]
}

// Sweep drops the ciphers that were not used since the Sweep before, and says how many
// pairs are left: with none there is nothing to sweep until something is used.
func (c *Cache) Sweep() (left int) {
	for i := len(c.held) - 1; i >= 0; i-- {
		p := c.held[i]
		if p.busy {
			p.busy = false
			continue
		}
		c.remove(p)
		p.drop()
	}
	if len(c.held) == 0 {
		c.held = nil
	}
	return len(c.held)
}
