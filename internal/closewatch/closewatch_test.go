package closewatch

import (
	"slices"
	"testing"

	"github.com/usher-go/usher/internal/leaktest"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newWatch(t *testing.T) *Watch {
	t.Helper()
	leaktest.Descriptors(t)
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// addSocket watches a new socket, and returns it and the number of the watch.
func (w *Watch) addSocket(t *testing.T) (fd int, watch int32) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if watch, err = w.Add(fd); err != nil {
		t.Fatal(err)
	}
	return fd, watch
}

func closeFD(t *testing.T, fd int) {
	t.Helper()
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
}

// expect wants Take to have these, and FD to be readable before if there are any.
func (w *Watch) expect(t *testing.T, want ...int32) {
	t.Helper()
	ready, err := unix.Poll([]unix.PollFd{{Fd: int32(w.FD()), Events: unix.POLLIN}}, 0)
	if err != nil || (ready > 0) != (len(want) > 0) {
		t.Errorf("%d ready, %v; want events: %v", ready, err, want)
	}
	var got []int32
	w.Take(func(watch int32) { got = append(got, watch) }, func() { t.Error("missed some") })
	if !slices.Equal(got, want) {
		t.Errorf("closed: %v, want %v", got, want)
	}
}

func TestEachCloseIsToldOnce(t *testing.T) {
	w := newWatch(t)
	first, a := w.addSocket(t)
	second, b := w.addSocket(t)
	w.expect(t)
	closeFD(t, second)
	w.expect(t, b)
	third, c := w.addSocket(t) // of second's number
	w.expect(t)
	closeFD(t, first)
	closeFD(t, third)
	w.expect(t, a, c)
	w.expect(t)
}

// The close that counts is that of the last descriptor.
func TestADuplicateHoldsItOpen(t *testing.T) {
	w := newWatch(t)
	fd, watch := w.addSocket(t)
	duplicate, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	closeFD(t, fd)
	w.expect(t)
	closeFD(t, duplicate)
	w.expect(t, watch)
}

// More than one read takes.
func TestMany(t *testing.T) {
	w := newWatch(t)
	var fds []int
	var want []int32
	for range 2*len(w.buffer)/eventSize + 1 {
		fd, watch := w.addSocket(t)
		fds, want = append(fds, fd), append(want, watch)
	}
	for _, fd := range fds {
		closeFD(t, fd)
	}
	w.expect(t, want...)
}

func TestNoDescriptor(t *testing.T) {
	w := newWatch(t)
	if _, err := w.Add(-1); err == nil {
		t.Error("a watch on no descriptor")
	}
}
