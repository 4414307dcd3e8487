package main

import (
	"bytes"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func (c *chaos) emptyConfig(e *era) { c.spoilConfig(e, 0) }

// cutConfig cuts the configuration at the end of a line, or anywhere.
func (c *chaos) cutConfig(e *era) {
	text, err := os.ReadFile(e.configPath)
	if err != nil {
		c.t.Fatal(err)
	}
	text = bytes.TrimSuffix(text, []byte("]\n")) // without which it is not whole
	left := c.random.IntN(max(1, len(text)))
	if c.random.IntN(2) == 0 {
		left = 1 + bytes.LastIndexByte(text[:left], '\n')
	}
	c.spoilConfig(e, int64(left))
}

// spoilConfig leaves so many bytes of the configuration, as a full disk does or who is
// still writing it, and has the server read it: all is to go on as it was, until it is
// mended.
func (c *chaos) spoilConfig(e *era, left int64) {
	c.note("%d bytes of the configuration are left", left)
	if err := os.Truncate(e.configPath, left); err != nil {
		c.t.Fatal(err)
	}
	c.broken = max(c.broken, 1)
	if c.random.IntN(2) == 0 {
		tellMaster(unix.SIGHUP)(c, e)
		return
	}
	if got := c.usher(e, "reload"); got.code == 0 {
		c.problem("a reload took %d bytes of a configuration: %+v", left, got)
	}
}

// rotateLog renames the log, and returns when there is a new one.
func (c *chaos) rotateLog(e *era) {
	old := fmt.Sprintf("%s.%d", e.logPath, len(e.logsBefore)+1)
	if err := os.Rename(e.logPath, old); err != nil {
		c.t.Fatal(err)
	}
	e.logsBefore = append(e.logsBefore, old)
	tellMaster(unix.SIGHUP)(c, e)
	until(c.t, "there is a new log", func() (bool, string) {
		_, err := os.Stat(e.logPath)
		return err == nil, fmt.Sprint(err)
	})
}

// removeSockets removes the files of the control socket, of the bad listener, or of
// both, as a cleaner of temporary files does. HUP brings them back: the first
// whatever becomes of the reload, the other when one succeeds.
func (c *chaos) removeSockets(e *era) {
	which := c.random.IntN(3)
	c.files.Lock()
	defer c.files.Unlock()
	if which != 0 {
		c.note("the bad listener's file is removed")
		_ = os.Remove(e.badPath) // it may be removed already, and no reload has succeeded yet
	}
	if which != 1 {
		c.note("the control socket's file is removed")
		if err := os.Remove(e.controlPath); err != nil {
			c.t.Fatal(err)
		}
	}
	tellMaster(unix.SIGHUP)(c, e)
	until(c.t, "the control socket is back", func() (bool, string) {
		_, err := get(e.controlPath, "/v1/status")
		return err == nil, fmt.Sprint(err)
	})
}
