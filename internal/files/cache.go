package files

import (
	"container/list"
	"sync"
	"time"
)

// restAge is for how long a file stays open that nobody asks for: so the space of one that
// was removed is free after some seconds, and its file system can be unmounted.
const restAge = 5 * time.Second

// cache has resources open, by their names. Any goroutine may use it; none waits for the
// disk in it, so that the loop may.
//
// It holds each resource once; get holds it for its caller, who releases it. What is
// evicted, replaced or dropped goes on for those who have it.
type cache struct {
	clock func() time.Duration
	most  int // files that are open

	mu     sync.Mutex
	byName map[string]*list.Element // of a *resource
	recent list.List                // the one that was asked for last is in front
	files  int                      // that are open
	sweeps *time.Timer              // runs while there is any
	closed bool
}

func newCache(most int, clock func() time.Duration) *cache {
	return &cache{clock: clock, most: most, byName: make(map[string]*list.Element)}
}

// get returns the resource of a name, held for the caller, or nil.
func (c *cache) get(name string, now time.Duration) *resource {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.byName[name]
	if element == nil {
		return nil
	}
	c.recent.MoveToFront(element)
	r := element.Value.(*resource)
	r.used.Store(int64(now))
	r.hold()
	return r
}

// put adds a resource, in the place of another of its name, and holds it. The caller goes
// on holding it, too.
func (c *cache) put(r *resource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if before := c.byName[r.name]; before != nil {
		c.remove(before)
	}
	r.hold()
	c.byName[r.name] = c.recent.PushFront(r)
	c.files += r.files
	for c.files > c.most && c.recent.Len() > 1 {
		c.remove(c.recent.Back())
	}
	if c.sweeps == nil {
		c.sweeps = time.AfterFunc(restAge, c.sweep)
	}
}

// drop removes r, unless another has taken its place.
func (c *cache) drop(r *resource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.byName[r.name]; element != nil && element.Value == r {
		c.remove(element)
	}
}

// dropAll removes all.
func (c *cache) dropAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.recent.Len() > 0 {
		c.remove(c.recent.Back())
	}
}

// close removes all, and takes no more.
func (c *cache) close() {
	c.dropAll()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.sweeps != nil {
		c.sweeps.Stop()
	}
}

// sweep removes what nobody has asked for lately.
func (c *cache) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweeps = nil
	now := c.clock()
	for c.recent.Len() > 0 {
		oldest := c.recent.Back()
		left := time.Duration(oldest.Value.(*resource).used.Load()) + restAge - now
		if left > 0 {
			c.sweeps = time.AfterFunc(left, c.sweep)
			return
		}
		c.remove(oldest)
	}
}

// remove is for who has the lock.
func (c *cache) remove(element *list.Element) {
	r := c.recent.Remove(element).(*resource)
	delete(c.byName, r.name)
	c.files -= r.files
	r.release()
}
