package web

import (
	"errors"

	"github.com/usher-go/usher/worker"
)

// The life of a connection, on the loop's goroutine. Its session is swapped when
// something begins or ends (forweb.Conn.Become), so that between requests there is no
// object of its own:
//
//	thawed ─────────────┐ (from another worker)
//	                    ▼
//	          ┌──────► idle ──part of a head──► heading ──┐
//	          │         └──────whole head─────────┬───────┘
//	          │                                   ▼
//	          └──answered── inlined (on the loop), exchange (on a goroutine)
//	                                                  │
//	                                                  └──Hijack──► hijackedSession
//
// idle is the session of all connections between requests. There are three, by what was
// served before; they keep nothing of a connection.
type idle struct {
	server *server
	before previous
}

// Data begins with what has come.
func (i *idle) Data(c *worker.Conn, in []byte) (int, error) {
	t := incoming{server: i.server, conn: c, before: i.before}
	return t.take(in)
}

// EOF ends a connection whose client has gone between two requests.
func (i *idle) EOF(c *worker.Conn, _ []byte) error {
	closeQuietly(c)
	return nil
}

// Drain gives the client some time for one more request, since one may be on its way.
func (i *idle) Drain(c *worker.Conn) { i.server.sayFarewell(c, i.before) }

// The state of a connection between requests, as it travels: nothing behind a request;
// else a byte, and behind frozenHeading two more things.
const (
	frozenNothing byte = iota + 1
	frozenPost
	frozenHeading // u8 previous, and what is left of its time, if that is bounded: u64 nanoseconds
)

var errFrozen = errors.New("web: malformed state of a connection")

// MarshalBinary says which of the three it is.
func (i *idle) MarshalBinary() ([]byte, error) {
	switch i.before {
	case nothing:
		return []byte{frozenNothing}, nil
	case aPost:
		return []byte{frozenPost}, nil
	}
	return nil, nil
}

// UnmarshalBinary is thawed's: no connection begins with this session in another worker.
func (i *idle) UnmarshalBinary([]byte) error { return errFrozen }

// closeQuietly closes a connection that may be closed already.
func closeQuietly(c *worker.Conn) {
	_ = c.Close() // ErrClosed then
}
