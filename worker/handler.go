package worker

// Handler makes sessions: a worker has one Handler, and a connection one Session.
// Like a session's methods, Open is called on the loop's goroutine, and must not block.
type Handler interface {
	// Open is called once for each connection, before any of its input is
	// read. It may write. An error closes the connection after flushing; there is
	// no session then, so nothing else is called.
	Open(c *Conn) (Session, error)
}

// OpenFunc is a function as a Handler.
type OpenFunc func(c *Conn) (Session, error)

// Open calls f.
func (f OpenFunc) Open(c *Conn) (Session, error) { return f(c) }

// Session is a handler's object for one connection. All of its methods are
// called on the loop's goroutine, never one within another, and must not block.
//
// A session may also implement any of [EOFSession], [CloseSession], [DrainSession],
// [LowSession], [MovableSession], [LeaveSession] and [AboutSession]; each says what that
// changes. A method that has the name of one of theirs and another form is not called: the
// worker's log has a warning, once for each type.
type Session interface {
	// Data is given the input that no earlier call has consumed, and returns
	// how many bytes it consumed, from the front. The rest comes again when more
	// input has come, or when a pause has ended (see Conn.Pause and Conn.Write).
	// in belongs to the loop: it is valid until Data returns, and Data may
	// overwrite it.
	//
	// An error closes the connection after flushing, and is what Close gets. It is
	// an error, too, to leave more than WithMaxInput or Conn.SetMaxInput allows.
	Data(c *Conn, in []byte) (n int, err error)
}

// EOFSession is a Session that goes on when its peer has finished sending.
type EOFSession interface {
	Session
	// EOF is called once, after all input was given to Data; rest is what Data
	// has left. After a nil return the connection stays open for writing,
	// until the session closes it. An error closes it after flushing. Without
	// this method the connection is closed after flushing.
	EOF(c *Conn, rest []byte) error
}

// CloseSession is a Session that wants to know of its end.
type CloseSession interface {
	Session
	// Close is the last call, exactly one for every session that Open
	// returned, unless its connection has moved to another worker (see
	// MovableSession). The connection is closed already: its methods return
	// ErrClosed. err is nil for an orderly end: the peer's end of file, or
	// Conn.Close, and all output was handed to the kernel. Otherwise it is
	// what ended the connection: the peer's doing (syscall.ECONNRESET,
	// syscall.EPIPE and the like, by errors.Is), the error that a callback
	// returned, or one of this package's.
	Close(c *Conn, err error)
}

// DrainSession is a Session that can come to an end when asked.
type DrainSession interface {
	Session
	// Drain is called once, when the worker is to end: the session is to finish
	// what is under way and call Conn.Close. A connection that comes while the
	// worker drains is asked right after Open. A session without this method stays until its peer
	// ends it, or the drain's deadline comes.
	Drain(c *Conn)
}

// AboutSession is a Session that has something to say of itself to an operator who lists
// connections (usher connections).
type AboutSession interface {
	Session
	// About is called when the connection is listed. It returns a few words, such as the
	// name of a user or what is being done; what is beyond 256 bytes, or is no UTF-8, is cut.
	// It must be quick, and change nothing.
	About(c *Conn) string
}

// LowSession is a Session that produces as fast as its peer reads.
type LowSession interface {
	Session
	// Low is called when buffered output, having been above the high-water
	// mark, has fallen below the low-water mark (see Conn.Write).
	Low(c *Conn)
}

// DataFunc is a function as a Handler that keeps no state for a connection: the
// function is the Session of each.
type DataFunc func(c *Conn, in []byte) (n int, err error)

// Open returns f.
func (f DataFunc) Open(*Conn) (Session, error) { return f, nil }

// Data calls f.
func (f DataFunc) Data(c *Conn, in []byte) (int, error) { return f(c, in) }
