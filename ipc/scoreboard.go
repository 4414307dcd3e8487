package ipc

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/usher-go/usher/fdpass"
	"golang.org/x/sys/unix"
)

// Scoreboard is the shared memory, mapped.
type Scoreboard struct {
	fd     int
	memory []byte
}

var errNoEntry = errors.New("ipc: a scoreboard needs an entry")

// NewScoreboard makes one of so many zeroed entries, in a memfd whose size is
// sealed (memfd_create(2)), so that no process can make another's access fail.
// The caller closes it.
func NewScoreboard(entries int) (*Scoreboard, error) {
	if entries < 1 {
		return nil, errNoEntry
	}
	fd, err := fdpass.Share("usher-scoreboard", int64(entries*EntrySize))
	if err != nil {
		return nil, fmt.Errorf("ipc: scoreboard: %w", err)
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
	size, err := fdpass.SharedSize(fd)
	if err != nil {
		return nil, err
	}
	if size < int64(EntrySize) || size%int64(EntrySize) != 0 {
		return nil, fmt.Errorf("size %d is not a multiple of %d", size, EntrySize)
	}
	memory, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return memory, os.NewSyscallError("mmap", err)
}

// Len returns the number of entries that there is room for, what lies behind them included.
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
