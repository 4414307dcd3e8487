package worker

// Flowing reports whether input goes on: not once the connection is ending, nor
// while it is paused, by Pause, by work of Go, or by output above the high-water
// mark. A Data that finds many messages in one input asks between them, and leaves
// those for which there is no room yet: they come again when the pause has ended.
func (c *Conn) Flowing() bool {
	if c.loop != nil && !c.loop.here() { // package framing's tests have a Conn without a loop
		_ = c.loop.stray("Conn.Flowing") // logged
		return false
	}
	return !c.ending() && !c.state.held(holdPassing)
}

// WhenFlowing has the loop call f, as a callback of this connection, when input
// goes on: when the pause has ended, or after the present callback if there is
// none. It is for what EOF has left, which nobody gives to the session again. An
// error closes the connection after flushing, as Data's does.
//
// f is called once, and takes the place of one that waits already. It is not called
// once the connection is closing; until it is called, the connection does not move.
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

// flowed calls what waits for input to go on.
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
