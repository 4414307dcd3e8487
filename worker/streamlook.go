package worker

import "time"

// Connections of streams whose close nobody tells: inotify(7) had no watch for them,
// or there is no inotify or no /proc here. What a user may watch is bounded
// (fs.inotify.max_user_watches, max_user_instances, and the namespace's own), so each
// such connection is looked at now and then: asking its *net.TCPConn, which the loop
// holds by a weak pointer, whether it is closed.
//
// What was measured, for each connection:
//
//	20 ns   that, as the program has closed it; a duplicate (File) may live on
//	0.6 µs  getsockopt(SO_COOKIE): whether the number still is that socket; the same
//	0.8 µs  epoll_ctl(EPOLL_CTL_MOD): ENOENT for a closed one; the same, and the set has
//	        a bound for each user of its own (fs.epoll.max_user_watches)
//	3.8 µs  sock_diag(7): whether the kernel has the socket, which it may have for a
//	        minute after the close; TCP only
//	10 µs   inotify, once, for the watch and its event: exact, also with duplicates
//
// A finaliser runs when the collector comes to it, and a close is no reason to.

const (
	// lookMin is how long, at least, between two looks; twice as long after each that
	// has found nothing, up to lookMax.
	lookMin = 50 * time.Millisecond
	lookMax = time.Second
	// lookShare bounds the time that looking takes: a part of all.
	lookShare = 50
	// unwatchedLog is how often, at most, it is logged that there are such.
	unwatchedLog = time.Minute
)

// looks is the account of those connections. The zero value has none.
type looks struct {
	open  map[*stream]struct{}
	pause time.Duration // before the next look
	mute  time.Duration // it is not logged again before
}

// addUnwatched takes a connection that cannot be watched, for that reason.
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

// plan has the member look again after so long.
func (s *streams) plan(pause time.Duration) {
	s.unwatched.pause, s.member.lookAt = pause, s.member.loop.now()+pause
}

// look counts those that are closed.
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
		pause = lookMin // others leave too, or somebody waits for it
	}
	s.plan(max(pause, lookShare*(s.member.loop.now()-begun)))
}
