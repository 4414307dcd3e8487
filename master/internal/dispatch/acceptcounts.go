package dispatch

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// acceptCounts are what is counted at the listening sockets, by all who accept: the accept
// goroutine, and subacceptors. No number in it goes down, and a listener that is closed and
// opened again goes on where it was.
type acceptCounts struct {
	mu        sync.Mutex
	listeners []*listenerCount  // those in force, and before them those that are gone
	errors    map[string]uint64 // of accept4(2), by the name of the errno
}

// listenerCount is one listener's.
type listenerCount struct {
	name, address string
	accepted      atomic.Uint64
}

// ListenerCount is how many connections were accepted at one address, those that were refused
// included: also those that wait to be counted in Totals.
type ListenerCount struct {
	Name, Address string
	Accepted      uint64
}

// maxListenerCounts is the most listeners that are remembered: far more than a configuration
// has. Beyond it the one that was in force longest ago is forgotten.
const maxListenerCounts = 1024

// of returns the count of a listener that is in force from now on.
func (c *acceptCounts) of(name, address string) *listenerCount {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.listeners, func(l *listenerCount) bool { return l.name == name && l.address == address })
	found := &listenerCount{name: name, address: address}
	switch {
	case i >= 0:
		found = c.listeners[i]
		c.listeners = slices.Delete(c.listeners, i, i+1)
	case len(c.listeners) >= maxListenerCounts:
		c.listeners = slices.Delete(c.listeners, 0, 1)
	}
	c.listeners = append(c.listeners, found)
	return found
}

// failed counts an error of accept4(2). They are seldom.
func (c *acceptCounts) failed(errno syscall.Errno) {
	name := unix.ErrnoName(errno)
	if name == "" {
		name = "unknown"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.errors == nil {
		c.errors = make(map[string]uint64)
	}
	c.errors[name]++
}

// read returns copies.
func (c *acceptCounts) read() (listeners []ListenerCount, errors map[string]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.listeners {
		listeners = append(listeners, ListenerCount{l.name, l.address, l.accepted.Load()})
	}
	return listeners, maps.Clone(c.errors)
}

// inherit takes over what another program has counted, which may be nothing. Nobody accepts
// yet.
func (c *acceptCounts) inherit(listeners []ListenerCount, errors map[string]uint64) {
	for _, l := range listeners {
		c.of(l.Name, l.Address).accepted.Add(l.Accepted)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errors = maps.Clone(errors)
}
