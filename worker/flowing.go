package worker

// Flowing reports whether input goes on. It does not once the connection is ending, nor
// while it is paused: by Pause, by work of Go, or by output above the high-water mark.
// A Data that finds many messages in one input asks between them, and leaves the rest
// once input is paused: they come again when the pause has ended.
func (c *Conn) Flowing() bool {
	if c.loop != nil && !c.loop.here() { // a Conn without a loop is what package framing's tests have
		_ = c.loop.stray("Conn.Flowing") // logged
		return false
	}
	return !c.ending() && !c.state.held(holdPassing)
}

// WhenFlowing has the loop call f, as a callback of this connection, when input
// goes on: when the pause has ended, or after the present callback if there is
// no pause. It is for what EOF has left, which the session is not given again. An
// error of f closes the connection after flushing, as Data's does.
//
// f is called once, and replaces one that waits already. It is not called once the
// connection is closing; until it is called, the connection does not move.
func (c *Conn) WhenFlowing(f func() error) {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.WhenFlowing") // logged
		return
	}
	if c.ending() {
		return
	}
	c.addUnfinished().flowing = f
	c.touch()
}

// flowed calls what WhenFlowing was given, if input goes on.
func (c *Conn) flowed() {
	if c.unfinished == nil || c.unfinished.flowing == nil || !c.Flowing() {
		return
	}
	f := c.unfinished.flowing
	c.unfinished.flowing = nil
	c.releaseUnfinished()
	if err := c.callFlowing(f); err != nil {
		c.end(err)
	}
}
