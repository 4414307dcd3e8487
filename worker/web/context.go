package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/usher-go/usher/worker"
)

// requestContext is the context of one request. It is embedded in the exchange, and makes
// what costs (a context to cancel, channels) when it is asked for. It is for any
// goroutine.
type requestContext struct {
	server *server
	conn   *worker.Conn

	mu       sync.Mutex
	inner    context.Context // that can be cancelled, once somebody asked for Done; made of the base
	cancel   context.CancelCauseFunc
	cause    error         // it is over; context.Canceled in order
	draining chan struct{} // closed when the worker begins to leave; nil: nobody asked
	leaving  bool          // it has begun
	deadline time.Time     // by which it will have left
}

var _ context.Context = (*requestContext)(nil)

// Deadline is the base's.
func (r *requestContext) Deadline() (time.Time, bool) { return r.server.baseContext.Deadline() }

// Done is closed when the client goes, the request is answered, or the worker's drain is
// over.
func (r *requestContext) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made().Done()
}

// made returns inner, and makes it if need be. The caller holds mu.
func (r *requestContext) made() context.Context {
	if r.inner == nil {
		r.inner, r.cancel = context.WithCancelCause(r.server.baseContext)
		if r.cause != nil {
			r.cancel(r.cause)
		}
	}
	return r.inner
}

// Err is context.Canceled once it is over.
func (r *requestContext) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.inner != nil:
		return r.inner.Err()
	case r.cause != nil:
		return context.Canceled
	}
	return r.server.baseContext.Err()
}

// contextKey is the key to the requestContext itself.
type contextKey struct{}

// Value knows net/http's keys. Any other goes to the context that can be cancelled, if
// there is one, so that package context finds that and needs no goroutine for a child.
func (r *requestContext) Value(key any) any {
	switch key {
	case http.ServerContextKey:
		return r.server.facade
	case http.LocalAddrContextKey:
		return netAddr(r.conn.LocalAddr())
	case contextKey{}:
		return r
	}
	r.mu.Lock()
	inner := r.inner
	if r.cause != nil {
		inner = r.made()
	}
	r.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return r.server.baseContext.Value(key)
}

// end makes it over because of cause; nil: in order.
func (r *requestContext) end(cause error) {
	if cause == nil {
		cause = context.Canceled
	}
	r.mu.Lock()
	if r.cause == nil {
		r.cause = cause
	}
	cancel := r.cancel
	r.mu.Unlock()
	if cancel != nil {
		cancel(cause) // outside of mu, since it calls what others have registered
	}
}

// drain says that the worker leaves, by deadline; zero: none is known.
func (r *requestContext) drain(deadline time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = deadline
	if !r.leaving && r.draining != nil {
		close(r.draining)
	}
	r.leaving = true
}

// Draining returns a channel that is closed when the worker that serves the request of
// ctx begins to leave: because of a reload, of scaling, or of an upgrade. A handler that
// would run for long can come to an end then: its client's next request is served by
// another worker. nil, if ctx is of no request of this package.
func Draining(ctx context.Context) <-chan struct{} {
	r, ok := ctx.Value(contextKey{}).(*requestContext)
	if !ok {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining == nil {
		r.draining = make(chan struct{})
		if r.leaving {
			close(r.draining)
		}
	}
	return r.draining
}

// DrainDeadline returns when the worker that serves the request of ctx cancels ctx,
// with worker.ErrDrained as the cause (context.Cause); a second later it cuts the answer.
// It is false while the worker is not leaving, or knows no deadline.
func DrainDeadline(ctx context.Context) (time.Time, bool) {
	r, ok := ctx.Value(contextKey{}).(*requestContext)
	if !ok {
		return time.Time{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deadline, !r.deadline.IsZero()
}

// netAddr returns a as net/http's users expect it: a *net.TCPAddr, or a *net.UnixAddr if
// a is invalid.
func netAddr(a netip.AddrPort) net.Addr {
	if !a.IsValid() {
		return &net.UnixAddr{Name: "@", Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(a)
}
