//go:build linux

package pollertest

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/internal/poller"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// spoiled is an epoll set with one thing wrong: what is set takes the place of the method.
type spoiled struct {
	*poller.Set
	add   func(s *poller.Set, fd int, conditions uint32, tag uint64) error
	mod   func(s *poller.Set, fd int, conditions uint32, tag uint64) error
	del   func(s *poller.Set, fd int) error
	wait  func(s *poller.Set, events []poller.Event, timeout time.Duration) (int, error)
	close func(s *poller.Set) error
}

func (s *spoiled) Add(fd int, conditions uint32, tag uint64) error {
	if s.add != nil {
		return s.add(s.Set, fd, conditions, tag)
	}
	return s.Set.Add(fd, conditions, tag)
}

func (s *spoiled) Modify(fd int, conditions uint32, tag uint64) error {
	if s.mod != nil {
		return s.mod(s.Set, fd, conditions, tag)
	}
	return s.Set.Modify(fd, conditions, tag)
}

func (s *spoiled) Del(fd int) error {
	if s.del != nil {
		return s.del(s.Set, fd)
	}
	return s.Set.Del(fd)
}

func (s *spoiled) Wait(events []poller.Event, timeout time.Duration) (int, error) {
	if s.wait != nil {
		return s.wait(s.Set, events, timeout)
	}
	return s.Set.Wait(events, timeout)
}

func (s *spoiled) Close() error {
	if s.close != nil {
		return s.close(s.Set)
	}
	return s.Set.Close()
}

// spoiledWaker likewise.
type spoiledWaker struct {
	*poller.Waker
	wake, clear func(w *poller.Waker)
}

func (w *spoiledWaker) Wake() {
	if w.wake != nil {
		w.wake(w.Waker)
		return
	}
	w.Waker.Wake()
}

func (w *spoiledWaker) Clear() {
	if w.clear != nil {
		w.clear(w.Waker)
		return
	}
	w.Waker.Clear()
}

// Each breach of the contract is found, by the check of that promise.
func TestBreachesAreFound(t *testing.T) {
	defer func(before time.Duration) { patience = before }(patience)
	patience = 50 * time.Millisecond // what a spoiled backend does not report never comes
	var allocated []byte
	tests := []struct {
		breach  string
		promise string
		set     spoiled
		waker   spoiledWaker
	}{
		{breach: "edge-triggered", promise: "a condition is reported for as long as it holds", set: spoiled{
			add: func(s *poller.Set, fd int, conditions uint32, tag uint64) error {
				return s.Add(fd, conditions|unix.EPOLLET, tag)
			}}},
		{breach: "no Out: room", promise: "room to write comes back", set: spoiled{add: noOut}},
		{breach: "more conditions than asked for", promise: "what was asked for is reported, and nothing else", set: spoiled{
			add: func(s *poller.Set, fd int, conditions uint32, tag uint64) error {
				return s.Add(fd, conditions|poller.Out, tag)
			}}},
		{breach: "Modify changes the tag alone", promise: "what was asked for is reported, and nothing else", set: spoiled{
			mod: func(s *poller.Set, fd int, conditions uint32, tag uint64) error {
				return s.Modify(fd, poller.In, tag)
			}}},
		{breach: "no Out: connect", promise: "a connect that succeeds", set: spoiled{add: noOut}},
		{breach: "no Err", promise: "a connect that is refused", set: spoiled{
			wait: func(s *poller.Set, events []poller.Event, timeout time.Duration) (int, error) {
				n, err := s.Wait(events, timeout)
				for i := range events[:n] {
					events[i].Events &^= poller.Err
				}
				return n, err
			}}},
		{breach: "no listeners", promise: "a connection to accept", set: spoiled{
			add: func(s *poller.Set, fd int, conditions uint32, tag uint64) error {
				if listening, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); listening == 1 {
					conditions = 0
				}
				return s.Add(fd, conditions, tag)
			}}},
		{breach: "a FIN is Hup", promise: "the end of the input is In, and no Hup", set: spoiled{
			add: func(s *poller.Set, fd int, conditions uint32, tag uint64) error {
				return s.Add(fd, conditions|unix.EPOLLRDHUP, tag)
			},
			wait: func(s *poller.Set, events []poller.Event, timeout time.Duration) (int, error) {
				n, err := s.Wait(events, timeout)
				for i := range events[:n] {
					if events[i].Events&unix.EPOLLRDHUP != 0 {
						events[i].Events = events[i].Events&^unix.EPOLLRDHUP | poller.Hup
					}
				}
				return n, err
			}}},
		{breach: "nothing wanted, nothing reported: Hup", promise: "Hup is reported without being asked for", set: spoiled{
			add: onlyWanted}},
		{breach: "nothing wanted, nothing reported: Err", promise: "Err is reported without being asked for", set: spoiled{
			add: onlyWanted}},
		{breach: "tags of 32 bits", promise: "tags keep all bits", set: spoiled{
			mod: func(s *poller.Set, fd int, conditions uint32, tag uint64) error {
				return s.Modify(fd, conditions, uint64(uint32(tag)))
			}}},
		{breach: "Del does nothing", promise: "a number that is used again has its own tag", set: spoiled{
			del: func(*poller.Set, int) error { return nil }}},
		{breach: "Del leaves it to close", promise: "what is deleted and closed is gone, though somebody else holds it", set: spoiled{
			del: func(*poller.Set, int) error { return nil }}},
		{breach: "Add overwrites", promise: "misuse is an error, and changes nothing", set: spoiled{
			add: func(s *poller.Set, fd int, conditions uint32, tag uint64) error {
				if err := s.Add(fd, conditions, tag); err != nil {
					return s.Modify(fd, conditions, tag)
				}
				return nil
			}}},
		{breach: "only one set", promise: "a descriptor can be in several sets", set: spoiled{
			del: func(s *poller.Set, fd int) error {
				_ = unix.Shutdown(fd, unix.SHUT_RDWR) // as if it were gone from all
				return s.Del(fd)
			}}},
		{breach: "the first comes always", promise: "what finds no room has its turn", set: spoiled{
			wait: func(s *poller.Set, events []poller.Event, timeout time.Duration) (int, error) {
				var all [8]poller.Event
				n, err := s.Wait(all[:], timeout)
				for i := range all[:n] {
					if i == 0 || all[i].Tag() < events[0].Tag() {
						events[0] = all[i]
					}
				}
				return min(n, 1), err
			}}},
		{breach: "an event where there is none", promise: "a wait with a limit ends, with nothing", set: spoiled{
			wait: func(s *poller.Set, events []poller.Event, timeout time.Duration) (int, error) {
				if n, err := s.Wait(events, timeout); n > 0 || err != nil {
					return n, err
				}
				return 1, nil
			}}},
		{breach: "Close closes all", promise: "close leaves the descriptors open", set: spoiled{
			add: func(s *poller.Set, fd int, conditions uint32, tag uint64) error {
				if tag == 1 {
					_ = unix.Shutdown(fd, unix.SHUT_RDWR) // what Close will have done
				}
				return s.Add(fd, conditions, tag)
			}}},
		{breach: "each wake is an event", promise: "many wakes before a clear are one event", waker: spoiledWaker{
			clear: func(*poller.Waker) {}}},
		{breach: "limits stay", promise: "a limit ends with its wait", set: spoiled{
			wait: func(s *poller.Set, events []poller.Event, timeout time.Duration) (int, error) {
				if timeout < 0 {
					return 0, nil
				}
				return s.Wait(events, timeout)
			}}},
		{breach: "a wake is lost", promise: "what was published before a wake is seen after the clear", waker: spoiledWaker{
			wake: func(*poller.Waker) {}}},
		{breach: "signals are errors", promise: "signals end no wait without limit, and are no error", set: spoiled{
			wait: func(s *poller.Set, events []poller.Event, timeout time.Duration) (int, error) {
				if timeout < 0 {
					return 0, os.NewSyscallError("epoll_pwait", syscall.EINTR)
				}
				return s.Wait(events, timeout)
			}}},
		{breach: "an allocation", promise: "nothing is allocated", set: spoiled{
			add: func(s *poller.Set, fd int, conditions uint32, tag uint64) error {
				allocated = make([]byte, 1)
				return s.Add(fd, conditions, tag)
			}}},
	}
	tested := make(map[string]bool)
	for _, test := range tests {
		tested[test.promise] = true
		t.Run(test.breach, func(t *testing.T) {
			leaktest.Descriptors(t)
			backend := Backend{
				New: func() (Set, error) {
					set, err := poller.New()
					own := test.set
					own.Set = set
					return &own, err
				},
				NewWaker: func(set Set, tag uint64) (Waker, error) {
					waker, err := poller.NewWaker(set.(*spoiled).Set, tag)
					own := test.waker
					own.Waker = waker
					return &own, err
				},
			}
			for _, check := range checks {
				if check.promise == test.promise {
					if err := check.run(backend); err == nil {
						t.Error("not found")
					} else {
						t.Log(err)
					}
					return
				}
			}
			t.Errorf("no check of %q", test.promise)
		})
	}
	for _, check := range checks {
		if !tested[check.promise] {
			t.Errorf("nothing shows that the check of %q can fail", check.promise)
		}
	}
	_ = allocated
}

// onlyWanted leaves out what wants nothing.
func onlyWanted(s *poller.Set, fd int, conditions uint32, tag uint64) error {
	if conditions == 0 {
		return nil
	}
	return s.Add(fd, conditions, tag)
}

// noOut never reports Out.
func noOut(s *poller.Set, fd int, conditions uint32, tag uint64) error {
	return s.Add(fd, conditions&^poller.Out, tag)
}
