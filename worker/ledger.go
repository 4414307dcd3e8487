package worker

import (
	"fmt"
	"strings"
	"time"

	"github.com/usher-go/usher/ipc"
)

// lose closes a connection that could not be thawed, and counts it as lost.
func (l *loop) lose(c *Conn, err error) {
	l.log.Error("connection lost: it could not be thawed", "conn", c.id, "peer", c.RemoteAddr(),
		"listener", c.origin.listener, "error", err)
	l.countLost(err)
	c.fail(fmt.Errorf("worker: thaw: %w", err))
}

// losses are the connections lost since the master was last told why.
type losses struct {
	count int
	last  error
}

// countLost books a connection that could not be thawed. Closed counts it too,
// once it is.
func (l *loop) countLost(err error) {
	l.station.entry.Lost.Add(1)
	l.losses.count++
	l.losses.last = err
}

// countThawed books that thawing was tried, so long after the freezing, after
// countLost if in vain.
func (l *loop) countThawed(pause time.Duration) {
	if l.station.entry.AddThawed(pause) {
		l.control.send(ipc.Closed{})
	}
}

// sendLosses tells the master why connections were lost in this turn.
func (l *loop) sendLosses() {
	if l.losses.count == 0 {
		return
	}
	reason := l.losses.last.Error()
	l.control.send(ipc.Lost{Count: l.losses.count, Error: strings.ToValidUTF8(reason[:min(len(reason), ipc.MaxReason)], "")})
	l.losses = losses{}
}
