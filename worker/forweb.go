package worker

import (
	"time"

	"github.com/usher-go/usher/internal/forweb"
)

func init() { forweb.Of = func(conn any) forweb.Conn { return (*webConn)(conn.(*Conn)) } }

// webConn is a Conn with the methods of forweb.Conn, which says what they do.
type webConn Conn

// conn returns the connection, on the loop's goroutine. On another one it panics: that is
// a mistake in package web.
func (w *webConn) conn(method string) *Conn {
	c := (*Conn)(w)
	if !c.loop.here() {
		panic(c.loop.stray(method))
	}
	return c
}

func (w *webConn) Become(session any) {
	if c := w.conn("Become"); c.session != nil {
		c.session = session.(Session)
	}
}

func (w *webConn) Unread(b []byte) {
	c := w.conn("Unread")
	if len(b) == 0 || c.ending() {
		return
	}
	u, store := c.addUnfinished(), &c.loop.buffers
	all := append(append(store.Get(len(b)+len(u.in)), b...), u.in...)
	store.Put(u.in)
	u.in = all
	c.state.owe(dueReplay)
	c.touch()
	c.loop.grew()
}

func (w *webConn) Engage()       { w.conn("Engage").engage() }
func (w *webConn) Release() bool { return w.conn("Release").disengage() }
func (w *webConn) Choked() bool  { return w.conn("Choked").state.held(holdChoked) }

func (w *webConn) Draining() (time.Time, bool) {
	l := w.conn("Draining").loop
	return l.wallTime(l.drainBy), l.draining
}

func (w *webConn) Finishing() bool { return w.conn("Finishing").loop.drains }

func (w *webConn) Put(f any) bool { return (*Conn)(w).put(f.(func(*Conn))) }

func (w *webConn) Answered(status int, took time.Duration) {
	(*Conn)(w).loop.meter.answered(status, took)
}

func (w *webConn) Pin() {
	c := w.conn("Pin")
	if c.session != nil && !c.state.is(traitPinned|traitDialled) {
		c.pin()
	}
}
