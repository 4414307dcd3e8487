package ipc

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

func board(t *testing.T, entries int) *Scoreboard {
	t.Helper()
	leaktest.Descriptors(t)
	s, err := NewScoreboard(entries)
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

// again maps the same memory once more, as another process would.
func again(t *testing.T, s *Scoreboard) *Scoreboard {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(s.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	other, err := OpenScoreboard(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	return other
}

// The layout is public: it is what the comment on Entry and PROTOCOL.md say.
func TestEntryLayout(t *testing.T) {
	var e Entry
	tests := []struct {
		field     string
		got, want uintptr
	}{
		{"received", unsafe.Offsetof(e.Received), 0},
		{"closed", unsafe.Offsetof(e.Closed), 8},
		{"sequence", unsafe.Offsetof(e.Sequence), 16},
		{"thread", unsafe.Offsetof(e.Thread), 24},
		{"lost", unsafe.Offsetof(e.Lost), 32},
		{"cut", unsafe.Offsetof(e.Cut), 64},
		{"withheld", unsafe.Offsetof(e.Withheld), 72},
		{"want_bell", unsafe.Offsetof(e.WantBell), 128},
		{"the size of received", unsafe.Sizeof(e.Received), 8},
		{"the size of want_bell", unsafe.Sizeof(e.WantBell), 4},
		{"the size of an entry", uintptr(EntrySize), 256},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: %d, want %d", test.field, test.got, test.want)
		}
	}
}

func TestScoreboardIsShared(t *testing.T) {
	s := board(t, 4)
	other := again(t, s)
	if s.Len() != 4 || other.Len() != 4 {
		t.Fatalf("%d and %d entries, want 4", s.Len(), other.Len())
	}
	e := s.Entry(3)
	e.Received.Store(1)
	e.Closed.Store(2)
	e.Sequence.Store(3)
	e.Thread.Store(4)
	e.WantBell.Store(5)
	f := other.Entry(3)
	if f.Received.Load() != 1 || f.Closed.Load() != 2 || f.Sequence.Load() != 3 || f.Thread.Load() != 4 || f.WantBell.Load() != 5 {
		t.Error("the other mapping has other values")
	}
	if s.Entry(2).Received.Load() != 0 || s.Entry(2).WantBell.Load() != 0 {
		t.Error("the entry before is not zero")
	}
	f.Reset()
	if bytes := unsafe.Slice((*byte)(unsafe.Pointer(e)), EntrySize); strings.Trim(string(bytes), "\x00") != "" {
		t.Error("an entry that was reset is not zero")
	}
}

func TestScoreboardIsSealed(t *testing.T) {
	s := board(t, 2)
	for _, size := range []int64{0, int64(EntrySize), int64(3 * EntrySize)} {
		if err := unix.Ftruncate(s.FD(), size); !errors.Is(err, unix.EPERM) {
			t.Errorf("ftruncate to %d: %v, want EPERM", size, err)
		}
	}
	if _, err := unix.FcntlInt(uintptr(s.FD()), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); !errors.Is(err, unix.EPERM) {
		t.Errorf("sealing more: %v, want EPERM", err)
	}
	flags, err := unix.FcntlInt(uintptr(s.FD()), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v; want FD_CLOEXEC", flags, err)
	}
}

func TestEntryOutOfRange(t *testing.T) {
	s := board(t, 2)
	for _, i := range []int{-1, 2} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("entry %d of 2: no panic", i)
				}
			}()
			s.Entry(i)
		}()
	}
}

func TestNoScoreboard(t *testing.T) {
	for _, entries := range []int{0, -1} {
		if _, err := NewScoreboard(entries); err == nil {
			t.Errorf("%d entries: no error", entries)
		}
	}
}

func TestOpenScoreboardRefuses(t *testing.T) {
	memfd := func(size int64, seals int) func(t *testing.T) int {
		return func(t *testing.T) int {
			fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Ftruncate(fd, size); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
				t.Fatal(err)
			}
			return fd
		}
	}
	tests := []struct {
		name string
		open func(t *testing.T) int
		want string
	}{
		{"unsealed", memfd(int64(EntrySize), 0), "size not sealed"},
		{"sealed against growing only", memfd(int64(EntrySize), unix.F_SEAL_GROW), "size not sealed"},
		{"seals that can be added to", memfd(int64(EntrySize), unix.F_SEAL_GROW|unix.F_SEAL_SHRINK), "size not sealed"},
		{"sealed against writing", memfd(int64(EntrySize), scoreboardSeals|unix.F_SEAL_WRITE), "mmap"},
		{"empty", memfd(0, scoreboardSeals), "size 0 is not a multiple"},
		{"less than an entry", memfd(int64(EntrySize)-1, scoreboardSeals), "size 255 is not a multiple"},
		{"a part of an entry too many", memfd(int64(EntrySize)+1, scoreboardSeals), "size 257 is not a multiple"},
		{"not a memfd", func(t *testing.T) int { return null(t) }, "fcntl"},
		{"a file", func(t *testing.T) int {
			fd, err := unix.Open(t.TempDir()+"/file", unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			return fd
		}, ""}, // a tmpfs file has seals, none set; others have none
		{"not open", func(*testing.T) int { return -1 }, "fcntl"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			leaktest.Descriptors(t) // the descriptor is owned, even on error
			s, err := OpenScoreboard(test.open(t))
			if err == nil {
				_ = s.Close() // the test fails anyway
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestBell(t *testing.T) {
	e := new(Entry)
	if e.AddClosed(1) {
		t.Error("rings without being asked")
	}
	e.WantBell.Store(1)
	if !e.AddClosed(2) {
		t.Error("does not ring when asked")
	}
	if e.AddClosed(1) {
		t.Error("rings twice")
	}
	if got := e.Closed.Load(); got != 4 {
		t.Errorf("%d closed, want 4", got)
	}
}

// The master asks for the bell and looks again, the workers count and look
// whether they were asked: no close is missed. One that is would hang the test.
func TestNoBellIsMissed(t *testing.T) {
	const workers, closes = 4, 5_000
	master := board(t, workers)
	shared := again(t, master)
	bell := make(chan struct{}, 1) // as a socket with a message in it stays readable
	var running sync.WaitGroup
	for i := range workers {
		running.Go(func() {
			for range closes {
				if shared.Entry(i).AddClosed(1) {
					select {
					case bell <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	closed := func() (sum uint64) {
		for i := range workers {
			sum += master.Entry(i).Closed.Load()
		}
		return sum
	}
	rings := 0
	for seen := uint64(0); seen < workers*closes; {
		for i := range workers {
			master.Entry(i).WantBell.Store(1)
		}
		now := closed()
		if now == seen {
			<-bell
			rings++
		}
		seen = now
	}
	running.Wait()
	t.Logf("%d closes, waited %d times", workers*closes, rings)
}
