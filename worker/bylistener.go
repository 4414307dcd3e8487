package worker

import (
	"errors"
	"maps"
)

// errNoHandler refuses a connection of a listener that ByListener was not told of.
var errNoHandler = errors.New("worker: no handler for this listener")

// ByListener is a Handler that leaves each connection to the handler that has the name
// of the connection's listener (usher serve --listen NAME=ADDRESS). The handler of the
// empty name gets the connections of all other listeners; without one they are closed,
// and counted.
//
// Handlers of sessions and Streams may be mixed. The map is copied.
func ByListener(handlers map[string]Handler) Handler { return byListener(maps.Clone(handlers)) }

// byListener does not change, so any goroutine may read it.
type byListener map[string]Handler

// Open has the handler of c's listener open c.
func (b byListener) Open(c *Conn) (Session, error) {
	h := handlerFor(b, c.Listener())
	if h == nil {
		return nil, errNoHandler
	}
	return h.Open(c)
}

// handlerFor returns the handler for a listener, in h and any ByListener in that, or nil.
func handlerFor(h Handler, listener string) Handler {
	for {
		by, ok := h.(byListener)
		if !ok {
			return h
		}
		if h, ok = by[listener]; !ok {
			h = by[""]
		}
	}
}
