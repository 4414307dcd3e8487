package poller

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
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

// eachWay runs test with a set for each way to wait.
func eachWay(t *testing.T, test func(t *testing.T, s *Set)) {
	ways := []struct {
		name   string
		choose func(s *Set) error
	}{
		{"raw", func(*Set) error { return nil }},
		{"through the scheduler", func(s *Set) error { s.Yield(true); return nil }},
		{"parked", (*Set).Park},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s := newSet(t)
			if err := way.choose(s); err != nil {
				t.Fatal(err)
			}
			test(t, s)
		})
	}
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
			_ = unix.Close(fd) // some tests have closed one
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

// ready waits and returns the events as text: tag:conditions.
func ready(t testing.TB, s *Set, timeout time.Duration) string {
	t.Helper()
	events := make([]Event, 8)
	n, err := s.Wait(events, timeout)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, e := range events[:n] {
		texts = append(texts, fmt.Sprintf("%d:%x", e.Tag(), e.Ready()))
	}
	return strings.Join(texts, " ")
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

func TestWait(t *testing.T) {
	eachWay(t, func(t *testing.T, s *Set) {
		a, b := stream(t)
		step := func(what string, err error, want string) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got := ready(t, s, 0); got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		step("an empty set", nil, "")
		step("added", s.Add(a, In, 7), "")
		step("writable wanted", s.Modify(a, In|Out, 8), fmt.Sprintf("8:%x", Out))
		write(t, b)
		step("readable too", nil, fmt.Sprintf("8:%x", In|Out))
		step("readable still", s.Modify(a, In, 9), fmt.Sprintf("9:%x", In)) // level-triggered
		if got, want := ready(t, s, -1), fmt.Sprintf("9:%x", In); got != want {
			t.Errorf("a wait without limit: %q, want %q", got, want)
		}
		step("nothing wanted", s.Modify(a, 0, 9), "")
		step("the peer is gone", unix.Close(b), fmt.Sprintf("9:%x", Hup))
		step("deleted", s.Del(a), "")
	})
}

func TestErrors(t *testing.T) {
	s := newSet(t)
	a, b := stream(t)
	if err := s.Add(a, In, 1); err != nil {
		t.Fatal(err)
	}
	closed := &Set{fd: -1}
	_, errWait := closed.Wait(make([]Event, 1), 0)
	_, errWaker := NewWaker(closed, 1)
	tests := []struct {
		name      string
		got, want error
	}{
		{"added twice", s.Add(a, In, 1), unix.EEXIST},
		{"not open", s.Add(-1, In, 1), unix.EBADF},
		{"modified but never added", s.Modify(b, In, 1), unix.ENOENT},
		{"deleted but never added", s.Del(b), unix.ENOENT},
		{"wait on no set", errWait, unix.EBADF},
		{"a waker in no set", errWaker, unix.EBADF},
		{"close of no set", closed.Close(), unix.EBADF},
		{"close of no waker", (&Waker{fd: -1}).Close(), unix.EBADF},
	}
	for _, test := range tests {
		var syscallError *os.SyscallError
		if !errors.Is(test.got, test.want) || !errors.As(test.got, &syscallError) {
			t.Errorf("%s: %v, want %v", test.name, test.got, test.want)
		}
	}
}

// A timeout may end early, but it ends, and with nothing.
func TestTimeoutEnds(t *testing.T) {
	eachWay(t, func(t *testing.T, s *Set) {
		start := time.Now()
		for time.Since(start) < 50*time.Millisecond {
			if got := ready(t, s, 50*time.Millisecond-time.Since(start)); got != "" {
				t.Errorf("%q", got)
			}
		}
	})
}

func TestTagsKeepAllBits(t *testing.T) {
	s := newSet(t)
	a, b := stream(t)
	write(t, b)
	if err := s.Add(a, In, 0); err != nil {
		t.Fatal(err)
	}
	tags := []uint64{0, math.MaxUint64, math.MaxUint32, math.MaxUint32 + 1, 0x0123456789abcdef}
	for bit := range 64 {
		tags = append(tags, 1<<bit)
	}
	events := make([]Event, 1)
	for _, tag := range tags {
		if err := s.Modify(a, In, tag); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Wait(events, 0); n != 1 || err != nil || events[0].Tag() != tag {
			t.Errorf("tag %#x came back as %#x (%d, %v)", tag, events[0].Tag(), n, err)
		}
	}
}

func TestEventsBeyondTheSliceComeLater(t *testing.T) {
	s := newSet(t)
	want := make(map[uint64]bool)
	for tag := range uint64(3) {
		a, b := stream(t)
		write(t, b)
		if err := s.Add(a, In, tag); err != nil {
			t.Fatal(err)
		}
		want[tag] = true
	}
	events := make([]Event, 1)
	for range 3 {
		if n, err := s.Wait(events, -1); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		delete(want, events[0].Tag())
	}
	if len(want) != 0 {
		t.Errorf("never reported: %v", want)
	}
}

// Why every close is preceded by Del: while another descriptor refers to the
// same open file, close leaves it in the set, which reports it for ever.
func TestDelBeforeClose(t *testing.T) {
	tests := []struct {
		name string
		del  bool
		want string
	}{
		{"with Del", true, ""},
		{"without", false, fmt.Sprintf("1:%x", In)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSet(t)
			a, b := stream(t)
			passed, err := unix.FcntlInt(uintptr(a), unix.F_DUPFD_CLOEXEC, 0) // as SCM_RIGHTS makes one
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Add(passed, In, 1); err != nil {
				t.Fatal(err)
			}
			if test.del {
				if err := s.Del(passed); err != nil {
					t.Fatal(err)
				}
			}
			if err := unix.Close(passed); err != nil {
				t.Fatal(err)
			}
			write(t, b)
			if got := ready(t, s, 0); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestAllocatesNothing(t *testing.T) {
	s := newSet(t)
	w := newWaker(t, s, 1)
	a, _ := stream(t)
	events := make([]Event, 4)
	round := func() {
		w.Wake()
		_, err := s.Wait(events, -1)
		w.Clear()
		if err = errors.Join(err, s.Add(a, In, 2), s.Modify(a, In|Out, 3), s.Del(a)); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
