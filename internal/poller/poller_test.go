package poller

import (
	"math"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSet(t testing.TB) *Set {
	t.Helper()
	leaktest.Descriptors(t)
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newWaker(t testing.TB, s *Set, tag uint64) *Waker {
	t.Helper()
	w, err := NewWaker(s, tag)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// stream returns a connected pair of stream sockets.
func stream(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, fd := range fds {
			_ = unix.Close(fd) // nothing was to be flushed
		}
	})
	return fds[0], fds[1]
}

func write(t testing.TB, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestMillis(t *testing.T) {
	tests := []struct {
		timeout time.Duration
		want    int
	}{
		{-1, -1},
		{math.MinInt64, -1},
		{0, 0},
		{1, 1},
		{time.Millisecond, 1},
		{time.Millisecond + 1, 2},
		{time.Second, 1000},
		{30 * 24 * time.Hour, math.MaxInt32},
		{math.MaxInt64, math.MaxInt32},
	}
	for _, test := range tests {
		if got := millis(test.timeout); got != test.want {
			t.Errorf("%v: %d ms, want %d", test.timeout, got, test.want)
		}
	}
}

func BenchmarkWake(b *testing.B) {
	s := newSet(b)
	w := newWaker(b, s, 1)
	events := make([]Event, 4)
	b.ReportAllocs()
	for b.Loop() {
		w.Wake()
		if _, err := s.Wait(events, -1); err != nil {
			b.Fatal(err)
		}
		w.Clear()
	}
}
