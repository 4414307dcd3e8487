package ipc

import (
	"errors"
	"strings"
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
	const sizeSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
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
		{"unsealed", memfd(int64(EntrySize), 0), "not sealed"},
		{"sealed against growing only", memfd(int64(EntrySize), unix.F_SEAL_GROW), "not sealed"},
		{"seals that can be added to", memfd(int64(EntrySize), unix.F_SEAL_GROW|unix.F_SEAL_SHRINK), "not sealed"},
		{"sealed against writing", memfd(int64(EntrySize), sizeSeals|unix.F_SEAL_WRITE), "mmap"},
		{"empty", memfd(0, sizeSeals), "size 0 is not a multiple"},
		{"less than an entry", memfd(int64(EntrySize)-1, sizeSeals), "size 255 is not a multiple"},
		{"a part of an entry too many", memfd(int64(EntrySize)+1, sizeSeals), "size 257 is not a multiple"},
		{"not a memfd", func(t *testing.T) int { return null(t) }, "no memfd"},
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
