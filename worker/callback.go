package worker

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Every call into a handler is made by one of these functions, on the loop's goroutine:
// a panic in it becomes an error. They are in the order of a session's life. No callback
// is made from within another.

var errNoSession = errors.New("worker: handler returned no session")

func (c *Conn) callOpen(h Handler) (err error) {
	defer c.contain("Open", &err)
	session, err := h.Open(c)
	if err == nil && session == nil {
		err = errNoSession
	}
	if err == nil {
		c.session = session // also of one that Open has aborted: its Close follows
		c.classify()
		c.loop.lookAt(session)
	}
	return err
}

func (c *Conn) callData(in []byte) (n int, err error) {
	defer c.contain("Data", &err)
	return c.session.Data(c, in)
}

func (c *Conn) callEOF(session EOFSession, rest []byte) (err error) {
	defer c.contain("EOF", &err)
	return session.EOF(c, rest)
}

func (c *Conn) callLow(session LowSession) (err error) {
	defer c.contain("Low", &err)
	session.Low(c)
	return nil
}

func (c *Conn) callDrain(session DrainSession) (err error) {
	defer c.contain("Drain", &err)
	session.Drain(c)
	return nil
}

func (c *Conn) callDrainBegins(session engagedSession, deadline time.Time) (err error) {
	defer c.contain("DrainBegins", &err)
	session.DrainBegins(c, deadline)
	return nil
}

func (c *Conn) callLastCall(session engagedSession) (stay bool, err error) {
	defer c.contain("LastCall", &err)
	return session.LastCall(c), nil
}

func (c *Conn) callClose(session CloseSession, cause error) {
	var ignored error // the connection is closed already
	defer c.contain("Close", &ignored)
	session.Close(c, cause)
}

// callAbout is for an answer to an operator: a panic is logged, and ends nothing.
func (c *Conn) callAbout(session AboutSession) (about string) {
	var err error // contain has logged it
	defer c.contain("About", &err)
	return session.About(c)
}

func (c *Conn) callAfter(f func()) (err error) {
	defer c.contain("After", &err)
	f()
	return nil
}

func (c *Conn) callPosted(f func(c *Conn)) (err error) {
	defer c.contain("Post", &err)
	f(c)
	return nil
}

func (c *Conn) callFlowing(f func() error) (err error) {
	defer c.contain("WhenFlowing", &err)
	return f()
}

func (c *Conn) callThen(then func()) (err error) {
	defer c.contain("Go", &err)
	then()
	return nil
}

func (c *Conn) callMarshal(session MovableSession) (state []byte, err error) {
	defer c.contain("MarshalBinary", &err)
	return session.MarshalBinary()
}

func (c *Conn) callUnmarshal(session MovableSession, state []byte) (err error) {
	defer c.contain("UnmarshalBinary", &err)
	return session.UnmarshalBinary(state)
}

// callLeave is for a connection that is gone: a panic is logged, and ends nothing.
func (c *Conn) callLeave(session LeaveSession) {
	var err error // contain has logged it
	defer c.contain("Leave", &err)
	session.Leave(c)
}

// contain is deferred around a callback: it logs a panic, and makes it the error.
func (c *Conn) contain(callback string, err *error) {
	value := recover()
	if value == nil {
		return
	}
	c.loop.log.Error("handler panicked", "conn", c.id, "peer", c.RemoteAddr(), "listener", c.origin.listener,
		"reason", callback, "error", value, "stack", string(debug.Stack()))
	*err = fmt.Errorf("%w in %s: %v", ErrPanic, callback, value)
}
