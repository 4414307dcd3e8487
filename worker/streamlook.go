package worker

import "time"

// This file counts connections of streams whose close the kernel does not report:
// inotify(7) had no watch for them, or there is no inotify or no /proc here. How many
// watches a user may have is bounded (fs.inotify.max_user_watches, max_user_instances,
// and the namespace's own). So the loop looks at such connections now and then: it asks
// each one's *net.TCPConn, which it holds by a weak pointer, whether it is closed.
//
// What ways to find out cost, for each connection, as measured:
//
//	20 ns   that question: whether the program has closed it; a duplicate (File) may live on
//	0.6 µs  getsockopt(SO_COOKIE): whether the number still is that socket; the same
//	0.8 µs  epoll_ctl(EPOLL_CTL_MOD): ENOENT for a closed one; the same, and the set has
//	        a bound for each user of its own (fs.epoll.max_user_watches)
//	3.8 µs  sock_diag(7): whether the kernel has the socket, which it may have for a
//	        minute after the close; TCP only
//	10 µs   inotify, once, for the watch and its event: exact, also with duplicates
//
// A finaliser is no such way: the collector does not run because something is closed.

const (
	// lookMin is the pause between two looks. It doubles after each that has found
	// nothing, up to lookMax.
	lookMin = 50 * time.Millisecond
	lookMax = time.Second
	// lookShare bounds the time that looking takes: a pause is at least so many times as
	// long as the look before it.
	lookShare = 50
	// unwatchedLog is the least time between two warnings that there are such connections.
	unwatchedLog = time.Minute
)

// looks holds the connections that are looked at. The zero value has none.
type looks struct {
	open  map[*stream]struct{}
	pause time.Duration // before the next look
	mute  time.Duration // no warning comes before that
}

// addUnwatched adds a connection that cannot be watched, for that reason.
func (s *streams) addUnwatched(c *stream, reason error) {
	u, now := &s.unwatched, s.member.loop.now()
	if u.open == nil {
		u.open = make(map[*stream]struct{})
	}
	u.open[c] = struct{}{}
	if now >= u.mute {
		s.member.loop.log.Warn("connections are not watched; their closes are looked for, and counted up to a second late",
			"after", lookMin, "error", reason)
		u.mute = now + unwatchedLog
	}
	s.plan(lookMin)
}

// plan makes the member look again after that pause.
func (s *streams) plan(pause time.Duration) {
	s.unwatched.pause, s.member.lookAt = pause, s.member.loop.now()+pause
}

// look counts those connections that are closed, and plans the next look.
func (s *streams) look() {
	u, begun := &s.unwatched, s.member.loop.now()
	found := false
	for c := range u.open {
		if c.closed() {
			delete(u.open, c)
			s.count(c)
			found = true
		}
	}
	if len(u.open) == 0 {
		u.open, s.member.lookAt = nil, never // a map does not shrink
		return
	}
	pause := min(2*u.pause, lookMax)
	if found || s.member.drain.begun() || s.member.ledger.bellWanted() {
		pause = lookMin // others will close soon, or the master waits for it
	}
	s.plan(max(pause, lookShare*(s.member.loop.now()-begun)))
}
