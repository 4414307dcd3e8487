package dispatch

import (
	"net/netip"
	"time"
)

// limits are what the operator set for new connections, but for that of each address
// (perip.go). Connections that only change their worker count, and are never refused.
type limits struct {
	conns int  // of the server at a time; 0: no limit
	rate  int  // accepted in a second; 0: no limit
	close bool // clients beyond a limit are closed

	bucket   bucket // by rate
	refusals logLimiter
}

// configure sets the policy and the limits.
func (g *acceptGoroutine) configure(s Settings) {
	g.limit(s)
	g.dispatcher.policy, _ = LookupPolicy(s.Policy) // whoever made the settings has looked for it
}

// limit sets the limits.
func (g *acceptGoroutine) limit(s Settings) {
	l := &g.limits
	if s.AcceptRate != l.rate {
		l.bucket = newBucket(s.AcceptRate, time.Now())
	}
	l.conns, l.rate, l.close = s.MaxConns, s.AcceptRate, s.CloseOverLimit
	if perIP := &g.dispatcher.perIP; perIP.on() && s.MaxConnsPerIP > 0 {
		perIP.limit = s.MaxConnsPerIP // and what it has counted stays
	} else {
		*perIP = newPerIPLimiter(s.MaxConnsPerIP)
	}
}

// quota returns how many connections may be accepted now, by the latest measure and
// what came since: a token for each is there before accept4(2) is called.
func (g *acceptGoroutine) quota() int {
	quota := g.allowance()
	if quota > 0 && g.limits.rate > 0 {
		quota = min(quota, g.limits.bucket.room(time.Now()))
	}
	return quota
}

// allowance is the quota but for the rate. While a connection is in the batch it is 0.
func (g *acceptGoroutine) allowance() int {
	if g.dispatcher.batch.Len() > 0 {
		return 0
	}
	quota := min(g.dispatcher.capacity.forNew(), g.dispatcher.capacity.spare, g.atOnce)
	if g.limits.conns > 0 {
		quota = min(quota, g.limits.conns-g.dispatcher.capacity.live)
	}
	return max(0, quota)
}

// turnsAway reports whether clients are to be closed, because they are beyond a
// limit. While no worker is there at all they wait in any case.
func (g *acceptGoroutine) turnsAway() bool {
	return g.limits.close && len(g.dispatcher.open) > 0 && g.overLimit()
}

// overLimit reports whether a limit is reached: of the server, of its rate, or of every
// worker. A full queue, or moved connections in the batch, are no limit: they pass soon.
func (g *acceptGoroutine) overLimit() bool {
	d := &g.dispatcher
	return g.limits.conns > 0 && d.capacity.live >= g.limits.conns ||
		g.limits.rate > 0 && g.limits.bucket.room(time.Now()) == 0 ||
		d.capacity.unused <= 0
}

// turnAway accepts at most a batch of a listener's clients, and closes them.
func (g *acceptGoroutine) turnAway(l *Listener) {
	conns, _ := g.accepts.take(l, l.FD, g.atOnce)
	for i := range conns {
		g.refuse(conns[i].fd, conns[i].peer, refusedOverload)
	}
}

// Why connections are refused: the limit, as the log names it, or that the server stops.
const (
	refusedByAddress = "max-conns-per-ip"
	refusedOverload  = "overload"
	refusedAtTheStop = "stopping"
)

// RefusalReasons are all keys that there are in Meters.RefusedBy.
func RefusalReasons() []string {
	return []string{refusedByAddress, refusedOverload, refusedAtTheStop}
}

// refuse closes a connection over a limit, of which it takes ownership, counts it, and
// logs that now and then.
func (g *acceptGoroutine) refuse(fd int, peer netip.AddrPort, limit string) {
	closeConn(fd)
	g.dispatcher.totals.accepted++
	g.dispatcher.totals.refused++
	if g.dispatcher.totals.refusedBy == nil {
		g.dispatcher.totals.refusedBy = make(map[string]uint64)
	}
	g.dispatcher.totals.refusedBy[limit]++
	if n, due := g.limits.refusals.count(time.Now()); due {
		g.log.Warn("connections refused", "limit", limit, "count", n, "peer", peer)
	}
}

// logLimiter holds a log line to one in logEvery, with how many it stands for.
type logLimiter struct {
	last  time.Time
	since int
}

const logEvery = time.Second

// count counts an occurrence, and reports whether to log, and for how many.
func (l *logLimiter) count(now time.Time) (n int, due bool) {
	l.since++
	if now.Sub(l.last) < logEvery {
		return 0, false
	}
	n, l.since, l.last = l.since, 0, now
	return n, true
}
