// Package forweb is what package worker/web needs of a connection of package worker, beside
// what every program may use. It exists so that package worker need not export that:
// worker sets Of, and web calls it.
package forweb

import "time"

// Conn is a worker.Conn as web uses it. All methods but Put and Answered are for the loop's goroutine,
// where they do not block; on another one they panic.
type Conn interface {
	// Become has session, a worker.Session, get every later callback, in the place of the
	// present one, which hears nothing more. It may be called within callbacks. It does
	// nothing once the session's Close was called.
	Become(session any)
	// Unread puts a copy of b in front of the input that Data has left. Data is called with
	// it, from the loop, as after Resume. It is not for Data and EOF, which return what they
	// leave.
	Unread(b []byte)
	// Engage says that a request is under way: until Release the connection does not move,
	// and its idle timeout stands still. Input goes on. Of a peer that has finished sending
	// the session's EOF is told at once, and its input is kept.
	Engage()
	// Release says that this is over. If connections are to move now, this one leaves at the
	// end of the turn, and hears nothing before that: leaving says so, and then the caller
	// starts nothing. If it cannot leave it goes on here. Data is called with what is left,
	// if anything is, and then, if the peer has finished sending, EOF once more.
	//
	// A worker that asks its sessions to finish asks the one that the connection has after
	// this callback, and one that has come to its drain's deadline ends the connection once
	// output is flushed.
	Release() (leaving bool)
	// Choked reports whether output is above the high-water mark: the session's Low will be
	// called.
	Choked() bool
	// Draining reports whether the worker is on its way out, and by when; a zero time: it
	// has not been told.
	Draining() (deadline time.Time, draining bool)
	// Finishing reports whether the worker is on its way out and asks sessions to finish,
	// since they cannot move.
	Finishing() bool
	// Put is worker.Conn.Post of f, a func(*worker.Conn), whatever waits: false only once the
	// connection is closed, or the worker ends. It is for who has at most a few under way at
	// a time, so that they need no bound. It is for any goroutine, and does not block.
	Put(f any) bool
	// Answered counts a request whose answer had the status, and took so long from its
	// beginning; a negative time: it was none that a handler had. It is for any goroutine, and
	// does not block.
	Answered(status int, took time.Duration)
	// Pin says that the connection moves no more, for good.
	Pin()
}

// Of returns a *worker.Conn as a Conn. It costs nothing. Package worker sets it before main
// begins.
var Of func(conn any) Conn
