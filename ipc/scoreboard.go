package ipc

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Entry is one slot's part of the scoreboard: two pairs of cache lines, the
// first written by the worker and read by the master, the second the other way
// round. Everything in it is atomic, and in the machine's own byte order.
//
//	  0  u64  received   connections taken from the queue
//	  8  u64  closed     connections closed, added to after close(2)
//	 16  u64  sequence   odd while handlers run, even while the loop waits
//	 24  u64  thread     the loop's thread id, gettid(2)
//	 32  u64  lost       of those closed, moved ones that could not be thawed, and
//	                     any for which there was no descriptor
//	 40  u64  thawed     moved connections that it tried to thaw, those lost included
//	 48  u64  staying    open connections that cannot move
//	 56  u64  pause      the longest time, in nanoseconds, from freezing to thawing
//	                     of a connection that moved here
//	 64  u64  cut        of those closed, open ones that a drain's deadline ended
//	 72  u64  withheld   how many connections fewer than its capacity it can hold now
//	128  u32  want_bell  the master waits for room: tell it of the next close
//
// A worker that adds to closed or thawed, or withholds less, and then finds want_bell set clears it and
// sends one Closed on control (AddClosed, AddThawed, Withhold). The master sets want_bell and then
// reads closed: either it sees the close, or the worker sees the wish. A worker
// that keeps no entry leaves sequence 0.
type Entry struct {
	Received atomic.Uint64
	Closed   atomic.Uint64
	Sequence atomic.Uint64
	Thread   atomic.Uint64
	Lost     atomic.Uint64
	Thawed   atomic.Uint64
	Staying  atomic.Uint64
	Pause    atomic.Uint64
	Cut      atomic.Uint64
	Withheld atomic.Uint64
	_        [128 - 10*8]byte // 128, not 64: processors fetch lines in pairs

	WantBell atomic.Uint32
	_        [128 - 4]byte
}

// Reset zeroes the entry for the slot's next incarnation. The master calls it
// when no worker uses the entry.
func (e *Entry) Reset() {
	e.Received.Store(0)
	e.Closed.Store(0)
	e.Sequence.Store(0)
	e.Thread.Store(0)
	e.Lost.Store(0)
	e.Thawed.Store(0)
	e.Staying.Store(0)
	e.Pause.Store(0)
	e.Cut.Store(0)
	e.Withheld.Store(0)
	e.WantBell.Store(0)
}

// AddClosed books n closed connections, and reports whether the bell is to be
// rung. The worker calls it, after close(2).
func (e *Entry) AddClosed(n uint64) (ring bool) {
	e.Closed.Add(n)
	return e.wanted()
}

// AddThawed books a moved connection that was brought back to life, after so long
// a pause, or, counted in Lost before, was not; and reports whether the bell is to
// be rung. Only the worker's loop calls it.
func (e *Entry) AddThawed(pause time.Duration) (ring bool) {
	e.Pause.Store(max(e.Pause.Load(), uint64(max(0, pause))))
	e.Thawed.Add(1)
	return e.wanted()
}

// Withhold books how many connections fewer than its capacity the worker can hold now.
// It reports whether the bell is to be rung, which it is for less than before.
func (e *Entry) Withhold(n int) (ring bool) {
	before := e.Withheld.Swap(uint64(n))
	return uint64(n) < before && e.wanted()
}

// wanted takes the master's wish for the bell.
func (e *Entry) wanted() bool { return e.WantBell.Load() != 0 && e.WantBell.Swap(0) != 0 }

// EntrySize is the size of an entry in bytes; entry i is at offset i*EntrySize.
const EntrySize = int(unsafe.Sizeof(Entry{}))

const scoreboardSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// Scoreboard is the shared memory, mapped.
type Scoreboard struct {
	fd     int
	memory []byte
}

// NewScoreboard makes one of so many zeroed entries, in a memfd whose size is
// sealed (memfd_create(2)), so that no process can make another's access fail.
// The caller closes it.
func NewScoreboard(entries int) (*Scoreboard, error) {
	if entries < 1 {
		return nil, errors.New("ipc: a scoreboard needs an entry")
	}
	fd, err := unix.MemfdCreate("usher-scoreboard", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("ipc: scoreboard: %w", os.NewSyscallError("memfd_create", err))
	}
	if err := unix.Ftruncate(fd, int64(entries*EntrySize)); err != nil {
		_ = unix.Close(fd) // the first error is the one to report
		return nil, fmt.Errorf("ipc: scoreboard: %w", os.NewSyscallError("ftruncate", err))
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, scoreboardSeals); err != nil {
		_ = unix.Close(fd) // the first error is the one to report
		return nil, fmt.Errorf("ipc: scoreboard: %w", os.NewSyscallError("fcntl", err))
	}
	return OpenScoreboard(fd)
}

// OpenScoreboard maps the scoreboard behind fd and takes ownership of fd, even
// on error. It refuses memory whose size is not sealed.
func OpenScoreboard(fd int) (*Scoreboard, error) {
	memory, err := mapSealed(fd)
	if err != nil {
		_ = unix.Close(fd) // the first error is the one to report
		return nil, fmt.Errorf("ipc: scoreboard: %w", err)
	}
	return &Scoreboard{fd: fd, memory: memory}, nil
}

func mapSealed(fd int) ([]byte, error) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if seals&scoreboardSeals != scoreboardSeals {
		return nil, errors.New("size not sealed")
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if stat.Size < int64(EntrySize) || stat.Size%int64(EntrySize) != 0 {
		return nil, fmt.Errorf("size %d is not a multiple of %d", stat.Size, EntrySize)
	}
	memory, err := unix.Mmap(fd, 0, int(stat.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return memory, os.NewSyscallError("mmap", err)
}

// Len returns the number of entries.
func (s *Scoreboard) Len() int { return len(s.memory) / EntrySize }

// Entry returns entry i, which must be below Len, or it panics. It is valid
// until Close. Any goroutine may use it.
func (s *Scoreboard) Entry(i int) *Entry {
	return (*Entry)(unsafe.Pointer(&s.memory[i*EntrySize]))
}

// FD returns the memfd, borrowed: for a worker's descriptor 5.
func (s *Scoreboard) FD() int { return s.fd }

// Close unmaps and closes; no Entry may be used afterwards.
func (s *Scoreboard) Close() error {
	err := unix.Munmap(s.memory)
	_ = unix.Close(s.fd) // a memfd has nothing to flush
	return os.NewSyscallError("munmap", err)
}
