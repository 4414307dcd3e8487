package worker

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// lister tells the master of the member's connections, when an operator wants to see them.
// A list's positions are the indices of the loop's table. It answers one question in a turn,
// and looks at the table for listTime at most: clients do not notice. It belongs to the
// loop's goroutine.
type lister struct {
	member  *member
	clock   ipc.Clock
	waiting []ipc.List // the master has at most some 16 unanswered
}

const (
	// listTime is how long a turn looks for connections to list, beside what it takes to
	// describe one.
	listTime = time.Millisecond
	// listLooks is how many cells of the table are looked at between two looks at the clock.
	listLooks = 256
	// listRoom is how much of a message is for connections, in bytes.
	listRoom = ipc.MaxMessage - 256
)

func (l *lister) put(question ipc.List) { l.waiting = append(l.waiting, question) }

// next returns when the lister has something to do, or never.
func (l *lister) next() time.Duration {
	if len(l.waiting) > 0 {
		return 0
	}
	return never
}

// list answers the first question that waits.
func (l *lister) list() {
	question := l.waiting[0]
	l.waiting = l.waiting[1:]
	if len(l.waiting) == 0 {
		l.waiting = nil
	}
	loop := l.member.loop
	answer := ipc.Listed{ID: question.ID, Unlisted: l.member.streaming}
	room, now, begun := listRoom, l.clock.Now(), loop.now()
	at := uint64(reservedTags)
	for at = max(at, question.Cursor); at < uint64(loop.table.size); at++ {
		if len(answer.Connections) == question.Limit || at%listLooks == 0 && at > question.Cursor && loop.now()-begun > listTime {
			answer.Cursor = at
			break
		}
		c := loop.table.at(uint32(at))
		if c == nil || !c.listed(question.Listener) {
			continue
		}
		listed := c.listedAt(at, now)
		text, err := json.Marshal(listed)
		if room -= len(text) + len(","); err != nil || room < 0 {
			answer.Cursor = at
			break
		}
		answer.Connections = append(answer.Connections, listed)
		if listed.About != "" && loop.now()-begun > listTime { // the session may have taken its time
			answer.Cursor = at + 1
			break
		}
	}
	loop.settle() // a session may have done what it should not
	l.member.control.send(answer)
}

// listed reports whether c is to be listed: it was accepted, by a listener of that name if it
// is not empty, and is not closed.
func (c *Conn) listed(listener string) bool {
	return !c.state.is(traitDialled) && c.state.phase() < phaseClosed && (listener == "" || listener == c.origin.listener)
}

// listedAt describes c, which is at a position of the table. now is by the clock of
// envelopes.
func (c *Conn) listedAt(position uint64, now time.Duration) ipc.ListedConn {
	listed := ipc.ListedConn{
		Position: position, ID: c.id, Listener: c.origin.listener, Phase: c.state.phase().String(),
		Remote: c.RemoteAddr(), Local: c.LocalAddr(), TLS: c.origin.tls != nil, Movable: c.movable(),
	}
	if since := *c.loop.table.since(c.index); since != 0 {
		listed.AgeMS = new(max(0, (now - since.accepted()).Milliseconds()))
	}
	if idle, known := c.idle(); known {
		listed.IdleMS = new(idle.Milliseconds())
	}
	if c.unfinished != nil {
		listed.Held = int64(c.holds())
	}
	if session, ok := c.session.(AboutSession); ok {
		about := c.callAbout(session)
		listed.About = strings.ToValidUTF8(about[:min(len(about), ipc.MaxAbout)], "")
	}
	return listed
}

// idle returns for how long no byte has come or gone; false: nobody knows. Of TCP the kernel
// keeps account; of another socket the loop does, if its idle time is bounded.
func (c *Conn) idle() (time.Duration, bool) {
	if c.remote != (netip.Addr{}) {
		if info, err := unix.GetsockoptTCPInfo(int(c.fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			return time.Duration(min(info.Last_data_recv, info.Last_data_sent)) * time.Millisecond, true
		}
	}
	if c.alarm == 0 {
		return 0, false
	}
	a := c.loop.wheel.Value(c.alarm)
	return max(0, c.loop.turnTime()-a.active), a.idleMS != 0
}
