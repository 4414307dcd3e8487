package worker

import (
	"errors"
	"maps"
)

// errNoHandler refuses a connection of a listener that ByListener was not told of.
var errNoHandler = errors.New("worker: no handler for this listener")

// ByListener is a Handler that leaves each connection to the one named as its
// listener is (usher serve --listen NAME=ADDRESS). That of the empty name has
// those of all other listeners; without it they are closed, which is counted.
//
// Sessions and streams may be mixed: see Streams.
func ByListener(handlers map[string]Handler) Handler { return byListener(maps.Clone(handlers)) }

type byListener map[string]Handler

// Open lets the listener's handler open c.
func (b byListener) Open(c *Conn) (Session, error) {
	h := handlerFor(b, c.Listener())
	if h == nil {
		return nil, errNoHandler
	}
	return h.Open(c)
}

// handlerFor returns the handler for a listener, or nil.
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
