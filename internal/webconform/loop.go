package webconform

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/forworkertest"
	"github.com/usher-go/usher/worker"
)

// Times of a loop that goes on by itself.
const (
	turn  = 200 * time.Microsecond // between two looks at what there is
	grace = 100 * time.Millisecond // for what is left when it is to end and no handler runs
)

// loop drives a worker's loop, as package workertest does, but in real time and on a
// goroutine of its own. That loop does not wait, so this one looks at it again and again.
type loop struct {
	arrivals chan arrival
	leave    chan struct{} // closed: it is to drain and to end
	ended    chan struct{}
	open     atomic.Int64 // connections
	running  *atomic.Int64
}

// arrival is a connection that the loop is to have.
type arrival struct {
	local, remote netip.AddrPort
	tls           *worker.TLSState
	taken         func(peer int) // takes ownership of the other end of it
}

// startLoop starts one. It ends when it was told to, no handler of running runs, and all
// connections have ended or have had a while for that.
func startLoop(h worker.Handler, running *atomic.Int64) *loop {
	l := &loop{arrivals: make(chan arrival), leave: make(chan struct{}), ended: make(chan struct{}), running: running}
	go l.run(h)
	return l
}

func (l *loop) run(h worker.Handler) {
	defer close(l.ended)
	by, err := forworkertest.New(h, []worker.Option{worker.WithLogger(hclog.NewNullLogger())}, func(uint64, error) { l.open.Add(-1) })
	if err != nil {
		panic(err) // there are no descriptors for a loop
	}
	defer by.End()
	ticker := time.NewTicker(turn)
	defer ticker.Stop()
	leave, last := l.leave, time.Now()
	var id uint64
	for busy := last; leave != nil || l.open.Load() > 0 && time.Since(busy) < grace; {
		select {
		case a := <-l.arrivals:
			id++
			l.open.Add(1)
			peer, err := by.Connect(forworkertest.Connection{ID: id, Local: a.local, Remote: a.remote, TLS: a.tls})
			if err != nil {
				panic(err)
			}
			a.taken(peer)
		case <-leave:
			leave = nil
			by.Drain()
		case <-ticker.C:
		}
		now := time.Now()
		by.Advance(now.Sub(last))
		if last = now; leave != nil || l.running.Load() > 0 {
			busy = now
		}
		if err := by.Serve(); err != nil {
			panic(err)
		}
	}
}

// give has the loop have a connection, and reports whether it does.
func (l *loop) give(a arrival) bool {
	select {
	case l.arrivals <- a:
		return true
	case <-l.ended:
		return false
	}
}

// addressOf is that of a TCP connection, or none.
func addressOf(a net.Addr) netip.AddrPort {
	at, _ := netip.ParseAddrPort(a.String())
	return at
}
