package worker

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// AccessLog is where a worker says what it has served: a line for each request, in the
// file that the operator names to the master (usher serve --access-log). The zero value is
// ready to use, and off until a worker has it (WithAccessLog) whose master has such a file.
// Its methods are for any goroutine, and none of them blocks.
type AccessLog struct {
	on      atomic.Bool
	dropped atomic.Uint64
}

// Access is one request that was served, for its line in the access log. What is empty or
// zero is left out, or said to be unknown, as the format has it.
type Access struct {
	Time      time.Time     // when the request came
	Duration  time.Duration // from then until it was answered
	Remote    netip.Addr    // of the client; invalid: of a Unix socket
	User      string        // who it said it is, by whatever the program has checked
	Host      string        // that was asked
	Method    string
	URI       string // as it was asked for
	Proto     string // HTTP/1.1, or what the program speaks
	Referer   string
	UserAgent string
	Status    int
	Bytes     int64 // of the answer's body
}

// Enabled reports whether there is a log. It is one load from memory: programs ask before
// they gather what Log is to say.
func (l *AccessLog) Enabled() bool { return l.on.Load() }

// Log adds a line. It keeps nothing of what a points to.
func (l *AccessLog) Log(a *Access) {}

// Dropped returns how many lines this process could not write.
func (l *AccessLog) Dropped() uint64 { return l.dropped.Load() }

// AccessLog returns the worker's access log, never nil. It is for any goroutine.
func (c *Conn) AccessLog() *AccessLog { return c.loop.accessLog }
