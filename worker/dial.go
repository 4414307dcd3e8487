package worker

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Connections that this program asks for, beside those that the master hands
// over. One that is dialled is in the loop's table from the beginning:
//
//	dialling ──(the kernel says: connected)──► Open, and on as any other
//	    └─────(refused, too late, given up)──► failed
//
// It is nobody else's business: the master does not count it, it does not move,
// and it does not keep a worker from its end.

// Destination is where a connection is to go. Either Remote or Path is set.
type Destination struct {
	// Remote is the address of a TCP server. The zone of a scoped one is the
	// number of its interface, as in fe80::1%2: names are not looked up.
	Remote netip.AddrPort
	Path   string // of a Unix stream socket
	// Local is the address to dial a TCP server from; the zero Addr leaves it to
	// the kernel. Connections from one address to one server are as many as there
	// are ports in net.ipv4.ip_local_port_range, 28,232 by default.
	Local netip.Addr
	// Timeout is how long connecting may take, with the precision of all
	// timeouts of this package; 0 leaves it to the kernel: two minutes for TCP
	// (net.ipv4.tcp_syn_retries), without end for a Unix socket whose server does
	// not accept.
	Timeout time.Duration
}

func (to Destination) String() string {
	if to.Path != "" {
		return to.Path
	}
	return to.Remote.String()
}

// ErrDialTimeout: the connection was not there within Destination.Timeout.
var ErrDialTimeout = errors.New("worker: dial timeout")

// errDialPlace: there is no such destination.
var errDialPlace = errors.New("want either a remote address or a path")

// Dialer asks for connections on one loop. Its methods but Post are for that
// loop's goroutine: for callbacks, hooks, and the function that RunClient is given.
// Elsewhere they do nothing, but that what Dial was given as failed gets
// ErrWrongGoroutine.
type Dialer struct {
	loop   *loop
	self   *Conn  // has no socket: it carries the timers and functions of the Dialer itself
	last   uint64 // the id given last
	run    int    // dialled since loop.messages was last needed for it
	owed   int    // calls of failed that are in loop.messages
	closed bool   // the loop ends: nothing more is dialled, unless one more connection comes
}

// firstDialled is the first id of dialled connections: the master's never come
// so far. Nor does the half of them that is in the table's tags soon come there.
const firstDialled = 1<<63 | 1<<31

func newDialer(l *loop) *Dialer {
	d := &Dialer{loop: l, last: firstDialled}
	d.self = &Conn{loop: l, origin: &origin{}, id: firstDialled, fd: -1}
	return d
}

// Dialer returns the Dialer of the loop that serves c, for a session that needs
// another connection to answer: a proxy.
func (c *Conn) Dialer() *Dialer {
	if !c.loop.here() {
		_ = c.loop.stray("Conn.Dialer") // logged; the Dialer's methods look for themselves
	}
	return c.loop.dialer
}

// dialling is what a connection owns until it is there.
type dialling struct {
	to        Destination
	handler   Handler
	failed    func(error) // may be nil
	connected bool        // connect(2) has succeeded
	selfDials int         // how often it has met itself
}

// dialRetry is how long a Unix socket whose backlog is full is left alone:
// nothing tells when there is room.
const dialRetry = 5 * time.Millisecond

// dialRun is how many are dialled before the next ones wait in loop.messages for the
// loop to look at other events. Without it, a server that refuses at once and a
// failed that dials at once would have the loop to themselves.
const dialRun = 64

// Dial asks for a connection. It does not block, and calls nothing: later either
// h's Open is called with the connection that it returns, and all that follows is
// as for one that was accepted; or failed, once, unless it is nil, with the reason.
// It is one of unix.ECONNREFUSED and the like, by errors.Is; ErrDialTimeout; what
// Close and Abort of the returned Conn lead to, ErrClosed and ErrAborted; or
// ErrStopped when the worker ends. A socket that the kernel has connected to itself,
// as it may where nobody listens, is tried anew, and refused. A failed or Close that dials again does not keep
// the loop from other work; it should wait a little all the same (After). What is
// dialled when the loop has come to its end is forgotten, and nothing is called.
//
// Until Open, nothing can be written to the connection. Afterwards it differs from
// an accepted one in this: the worker's idle timeout is not set, Each and WithTick
// leave it out, it does not move to another worker, and when the last accepted
// connection of a draining worker has gone, it is closed, with ErrDrained.
//
// It takes one of the process's descriptors, and leaves one less for clients: the
// master sends as many as there are descriptors for, with what they will have dialled,
// and the others wait in the kernel.
func (d *Dialer) Dial(to Destination, h Handler, failed func(error)) *Conn {
	l := d.loop
	if !l.here() {
		return d.refuse(l.stray("Dialer.Dial"), failed)
	}
	d.last++
	c := &Conn{
		loop: l, origin: d.self.origin, remote: to.Remote.Addr(), port: to.Remote.Port(),
		id: d.last, fd: -1, state: newState(phaseDialling, traitDialled),
	}
	c.addUnfinished().dialling = &dialling{to: to, handler: h, failed: failed}
	fd, err := -1, error(ErrStopped)
	if !d.closed {
		fd, err = to.socket()
	}
	if err != nil {
		c.blame(dialError(to, err))
		c.state.step(eventRelease)
		d.owe(c)
		return c
	}
	c.fd = int32(fd)
	l.table.add(c)
	l.dialled++
	if to.Timeout > 0 {
		now := l.refresh()
		c.setEnd(now + min(to.Timeout, never-now))
	}
	if d.run == dialRun {
		l.messages.Put(message{f: func(*Conn) { d.run = 0 }})
	}
	if d.run++; d.run <= dialRun {
		c.connect()
	} else {
		l.messages.Put(message{f: func(*Conn) { c.connect() }})
	}
	return c
}

// refuse is Dial on another goroutine: nothing of the loop is touched, and failed is
// called where it always is.
func (d *Dialer) refuse(err error, failed func(error)) *Conn {
	if failed != nil {
		d.Post(func() { failed(err) })
	}
	return &Conn{loop: d.loop, origin: d.self.origin, id: firstDialled, fd: -1, state: newState(phaseOver, traitDialled)}
}

// owe has failed called for a connection that has no descriptor: in another turn,
// since the next may be no better.
func (d *Dialer) owe(c *Conn) {
	d.owed++
	d.loop.messages.Put(message{f: func(*Conn) {
		d.owed--
		c.touch()
	}})
}

// After has the loop call f once d has passed, or later by at most 10 ms or 1 %. A
// panic in it is logged, and has no other effect. It is Conn.After without a connection.
func (d *Dialer) After(wait time.Duration, f func()) *Timer {
	if !d.loop.here() {
		_ = d.loop.stray("Dialer.After") // logged
		return &Timer{loop: d.loop}
	}
	return d.self.After(wait, f)
}

// Post has the loop call f, as After does. It is for any goroutine, and does not
// block. It returns false, and f is not called, once the loop has ended, or when too
// many functions wait (see Conn.Post); while the loop ends f may not be called either.
func (d *Dialer) Post(f func()) bool {
	return d.loop.messages.Offer(message{f: func(*Conn) {
		_ = d.self.callAfter(f) // a panic is logged
	}})
}

// socket returns an owned socket for the destination, bound if it is to be.
func (to Destination) socket() (fd int, err error) {
	if to.Remote.IsValid() == (to.Path != "") {
		return -1, errDialPlace
	}
	family := unix.AF_INET
	switch {
	case to.Path != "":
		family = unix.AF_UNIX
	case to.Remote.Addr().Is6() && !to.Remote.Addr().Is4In6():
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if family != unix.AF_UNIX {
		if err := to.prepare(fd); err != nil {
			_ = unix.Close(fd) // nothing was written
			return -1, err
		}
	}
	return fd, nil
}

// prepare sets up a TCP socket.
func (to Destination) prepare(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if !to.Local.IsValid() {
		return nil
	}
	// The port is chosen by connect(2), which knows the remote address: else each
	// would be used once for all servers (ip(7)).
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sockaddr(netip.AddrPortFrom(to.Local, 0))))
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	addr := a.Addr().Unmap()
	if addr.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: addr.As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: addr.As16(), ZoneId: zone(addr)}
}

// connect asks the kernel for the connection, unless it has been given up.
func (c *Conn) connect() {
	if c.ending() {
		return
	}
	d := c.unfinished.dialling
	var address unix.Sockaddr = &unix.SockaddrUnix{Name: d.to.Path}
	if d.to.Path == "" {
		address = sockaddr(d.to.Remote)
	}
	err := unix.Connect(int(c.fd), address)
	if err == unix.EINPROGRESS && d.to.Remote.Addr().IsLoopback() {
		err = unix.Connect(int(c.fd), address) // it is there already, most likely
	}
	switch err {
	case nil:
		c.reached()
	case unix.EINPROGRESS, unix.EALREADY:
		c.arm()
	case unix.EAGAIN: // the backlog of a Unix socket is full (connect(2))
		c.After(dialRetry, c.connect)
	default:
		c.fail(dialError(d.to, os.NewSyscallError("connect", err)))
	}
}

// dialAnswered is called when the socket is writable, or has failed.
func (c *Conn) dialAnswered() {
	d := c.unfinished.dialling
	errno, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		c.fail(dialError(d.to, os.NewSyscallError("getsockopt", err)))
	case errno != 0:
		c.fail(dialError(d.to, os.NewSyscallError("connect", unix.Errno(errno))))
	default:
		c.reached()
	}
}

// settleDial opens the connection if it is there.
func (c *Conn) settleDial() {
	d := c.unfinished.dialling
	if !d.connected {
		return
	}
	c.state.step(eventReached)
	c.unfinished.dialling = nil
	c.unfinished.deadlines.end = 0
	c.schedule()
	c.releaseUnfinished()
	if err := c.open(d.handler); err != nil {
		c.end(err)
	}
	c.touch()
}

// reportDial says why a connection has not come to be.
func (c *Conn) reportDial(cause error) {
	d := c.unfinished.dialling
	c.unfinished.dialling = nil
	if d.failed != nil {
		_ = c.callAfter(func() { d.failed(cause) }) // a panic is logged
	}
}

// isDialers reports whether c stands for the Dialer, and not for a connection.
func (c *Conn) isDialers() bool { return c.loop.dialer.self == c }

// hangUpDialled ends the dialled connections of a worker that has no others, and
// reports whether none is left.
func (l *loop) hangUpDialled() bool {
	if !l.dialer.closed {
		l.dialer.closed = true
		l.table.each(func(c *Conn) { c.end(ErrDrained) })
		l.settle()
	}
	return l.table.live == 0
}

// accepted returns how many connections there are that the master counts.
func (l *loop) accepted() int { return l.table.live - l.dialled }

// dialError adds the destination, and what to do about it.
func dialError(to Destination, err error) error {
	advice := ""
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL) && to.Local.IsValid() || errors.Is(err, unix.EADDRNOTAVAIL) && to.Remote.Addr().IsLoopback():
		advice = "; out of ports for this pair of addresses, or no such local address: dial from several, or widen net.ipv4.ip_local_port_range"
	case errors.Is(err, unix.EMFILE):
		advice = "; raise the limit of descriptors (ulimit -n), or use more processes"
	}
	return fmt.Errorf("worker: dial %v: %w%s", to, err, advice)
}

// zone returns the interface's number of a scoped address, by which only
// numbers are understood; 0: none.
func zone(a netip.Addr) uint32 {
	n := uint64(0)
	for _, digit := range a.Zone() {
		if digit < '0' || digit > '9' || n > math.MaxUint32/10 {
			return 0
		}
		n = 10*n + uint64(digit-'0')
	}
	return uint32(n)
}
