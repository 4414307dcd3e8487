package worker

import "math"

// maxPosted bounds the functions that wait for one connection.
const maxPosted = 64 << 10

// postClosed is added to Conn.posted, by the loop, when the connection takes no more: the
// sum stays negative whatever other goroutines add meanwhile.
const postClosed = math.MinInt32 / 2

// Post has the loop call f, as a callback of this connection: if f panics, the
// connection ends with ErrPanic. It is for any goroutine, does not block, and may be
// called at any time. Functions posted by one goroutine are called in their order.
//
// It returns false, and f is not called, once the connection is closed, or when
// 65,536 functions wait for it already, or 1,048,576 for all that the worker serves:
// then callers are faster than the loop, which gives them only a share of its time.
// After true, f is not called either if the connection comes to its end first: like a
// timer's, it never runs once the connection is closing.
//
// A connection that moves to another worker leaves once all that was posted has
// run; from then on Post is false. (Should the kernel not take it just then, it
// goes on here, and Post is true again.)
func (c *Conn) Post(f func(c *Conn)) bool {
	if n := c.posted.Add(1); n <= 0 || n > maxPosted {
		c.posted.Add(-1)
		return false
	}
	if c.loop.messages.Offer(message{conn: c, f: f}) {
		return true
	}
	c.posted.Add(-1)
	return false
}

// put is Post that is refused only once the connection is closed, or the loop has ended.
func (c *Conn) put(f func(c *Conn)) bool {
	if c.posted.Add(1) > 0 && c.loop.messages.Put(message{conn: c, f: f}) {
		return true
	}
	c.posted.Add(-1)
	return false
}

// receive calls what was posted. The loop calls it for each message.
func (c *Conn) receive(f func(c *Conn)) {
	c.posted.Add(-1)
	if c.ending() {
		return
	}
	if err := c.callPosted(f); err != nil {
		c.end(err)
	}
}

// hasPosts reports whether functions wait for c.
func (c *Conn) hasPosts() bool { return c.posted.Load() > 0 }

// closePosts has Post be false from now on: c is closed. This and the following are for
// the loop's goroutine.
func (c *Conn) closePosts() {
	if !c.postsClosed() {
		c.posted.Add(postClosed)
	}
}

// tryClosePosts does so unless functions wait, and reports whether it did: c is about to
// leave for another worker.
func (c *Conn) tryClosePosts() bool { return c.posted.CompareAndSwap(0, postClosed) }

// reopenPosts undoes it: c goes on here.
func (c *Conn) reopenPosts() {
	if c.postsClosed() {
		c.posted.Add(-postClosed)
	}
}

func (c *Conn) postsClosed() bool { return c.posted.Load() < postClosed/2 }
