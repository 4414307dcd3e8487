// Package pollertest is the contract of package poller as a test that any backend must
// pass: see poller.go. A test of the backend calls Conform for each way to wait:
//
//	pollertest.Conform(t, pollertest.Backend{New: ..., NewWaker: ...})
//
// It is for tests alone, and works on the backend through interfaces, so that its own
// test can spoil one.
package pollertest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/internal/poller"
	"golang.org/x/sys/unix"
)

// Set is what the checks use of a poller.Set.
type Set interface {
	Add(fd int, conditions uint32, tag uint64) error
	Modify(fd int, conditions uint32, tag uint64) error
	Del(fd int) error
	Wait(events []poller.Event, timeout time.Duration) (int, error)
	Close() error
}

// Waker is what the checks use of a poller.Waker.
type Waker interface {
	Wake()
	Clear()
	Close() error
}

// Backend makes what is to be checked.
type Backend struct {
	// New returns an empty set, prepared to wait in one of its ways. The checks close it.
	New func() (Set, error)
	// NewWaker adds a waker to a set that New has returned.
	NewWaker func(set Set, tag uint64) (Waker, error)
}

// Of returns the backend of this build; prepare, unless it is nil, is called with each
// new set.
func Of(prepare func(*poller.Set) error) Backend {
	return Backend{
		New: func() (Set, error) {
			set, err := poller.New()
			if err != nil {
				return nil, err
			}
			if prepare != nil {
				if err := prepare(set); err != nil {
					set.Close()
					return nil, err
				}
			}
			return set, nil
		},
		NewWaker: func(set Set, tag uint64) (Waker, error) {
			return poller.NewWaker(set.(*poller.Set), tag)
		},
	}
}

// Conform runs every check, each as a test of its own. The calling goroutine need not be
// locked to its thread. Tests that open descriptors must not run beside it.
func Conform(t *testing.T, backend Backend) {
	for _, check := range checks {
		t.Run(check.promise, func(t *testing.T) {
			leaktest.Descriptors(t)
			if err := check.run(backend); err != nil {
				t.Error(err)
			}
		})
	}
}

// check is one promise of the contract. try panics with a breach if it is broken.
type check struct {
	promise string
	try     func(r *rig)
}

// patience is how long a check waits for what must come.
var patience = 20 * time.Second

// run returns what the backend did wrong, or nil.
func (c *check) run(backend Backend) (err error) {
	r := &rig{backend: backend, open: make(map[int]bool)}
	defer r.close()
	defer func() {
		if p := recover(); p != nil {
			failure, ok := p.(breach)
			if !ok {
				panic(p)
			}
			err = failure
		}
	}()
	r.set = r.newSet()
	c.try(r)
	return nil
}

// breach says how a backend has broken its promise. It ends a check, by a panic.
type breach string

func (b breach) Error() string { return string(b) }

func fail(format string, args ...any) { panic(breach(fmt.Sprintf(format, args...))) }

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

// rig is what a check works with: a set, and descriptors to put into it. It closes in the
// end what it has made.
type rig struct {
	backend Backend
	set     Set
	sets    []Set
	wakers  []Waker
	open    map[int]bool // the descriptors of the check
}

func (r *rig) close() {
	for _, w := range r.wakers {
		_ = w.Close() // a check that failed says why
	}
	for _, set := range r.sets {
		_ = set.Close() // likewise
	}
	for fd := range r.open {
		_ = unix.Close(fd) // likewise
	}
}

func (r *rig) newSet() Set {
	set, err := r.backend.New()
	must(err)
	r.sets = append(r.sets, set)
	return set
}

func (r *rig) newWaker(tag uint64) Waker {
	w, err := r.backend.NewWaker(r.set, tag)
	must(err)
	r.wakers = append(r.wakers, w)
	return w
}

// own has the rig close fd in the end, unless closeFD does.
func (r *rig) own(fd int, err error) int {
	must(err)
	r.open[fd] = true
	return fd
}

func (r *rig) closeFD(fd int) {
	delete(r.open, fd)
	must(unix.Close(fd))
}

// pair returns two connected stream sockets.
func (r *rig) pair() (a, b int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(err)
	for _, fd := range fds {
		r.prepare(r.own(fd, nil))
	}
	return fds[0], fds[1]
}

func (r *rig) prepare(fd int) {
	unix.CloseOnExec(fd)
	must(unix.SetNonblock(fd, true))
}

// listen returns a TCP listener and its address.
func (r *rig) listen() (fd int, address unix.Sockaddr) {
	fd = r.own(unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0))
	r.prepare(fd)
	must(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(unix.Listen(fd, 8))
	address, err := unix.Getsockname(fd)
	must(err)
	return fd, address
}

// dial begins to connect.
func (r *rig) dial(address unix.Sockaddr) int {
	fd := r.own(unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0))
	r.prepare(fd)
	if err := unix.Connect(fd, address); err != nil && err != unix.EINPROGRESS {
		must(err)
	}
	return fd
}

// tcp returns two connected TCP sockets.
func (r *rig) tcp() (a, b int) {
	listener, address := r.listen()
	a = r.dial(address)
	const tag = 1 << 60
	must(r.set.Add(listener, poller.In, tag))
	r.await(r.set, event{tag, poller.In})
	must(r.set.Del(listener))
	b, _, err := unix.Accept(listener)
	r.prepare(r.own(b, err))
	r.closeFD(listener)
	return a, b
}

func write(fd int) {
	_, err := unix.Write(fd, []byte("x"))
	must(err)
}

// read takes all there is.
func read(fd int) {
	var buffer [4096]byte
	for {
		n, err := unix.Read(fd, buffer[:])
		if n <= 0 || err != nil {
			return // EAGAIN, or the end
		}
	}
}

// event is what Wait has reported.
type event struct {
	tag   uint64
	ready uint32
}

type events []event

func (es events) String() string {
	var texts []string
	for _, e := range es {
		texts = append(texts, fmt.Sprintf("%#x:%#x", e.tag, e.ready))
	}
	return "[" + strings.Join(texts, " ") + "]"
}

// wait returns what one Wait reports, up to eight events.
func wait(set Set, timeout time.Duration) (es events) {
	var buffer [8]poller.Event
	n, err := set.Wait(buffer[:], timeout)
	must(err)
	for i := range buffer[:n] {
		es = append(es, event{buffer[i].Tag(), buffer[i].Ready()})
	}
	return es
}

// await waits until a Wait reports this event, and nothing else.
func (r *rig) await(set Set, want event) {
	var got events
	for begun := time.Now(); time.Since(begun) < patience; {
		got = wait(set, patience/10)
		if len(got) == 1 && got[0] == want {
			return
		}
	}
	fail("%v, want %v", got, events{want})
}

// quiet wants nothing to be ready.
func (r *rig) quiet(set Set) {
	if got := wait(set, 0); got != nil {
		fail("%v, want nothing", got)
	}
}
