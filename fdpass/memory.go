package fdpass

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// What is too long for a payload, or is for two processes to share, goes in a memfd
// (memfd_create(2)) as a descriptor of its own. There are two kinds, told apart by the
// seals on them (fcntl(2), F_ADD_SEALS), which nobody can take off again:
//
//	Seal     bytes, and nobody can change them     ReadSealed
//	Share    zeroes, for all who have it to map    SharedSize
//	         and change, but not to resize
const (
	sharedSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	sealedSeals = sharedSeals | unix.F_SEAL_WRITE
)

// The ways in which memory that was received is not what it should be. All are the
// sender's doing.
var (
	// ErrNotMemfd: the descriptor is no memfd.
	ErrNotMemfd = errors.New("no memfd")
	// ErrUnsealed: it lacks a seal: somebody could change or shorten it at any time.
	ErrUnsealed = errors.New("not sealed")
	// ErrTooLong: there is more in it than the reader's limit.
	ErrTooLong = errors.New("too long")
)

// Seal returns an owned, close-on-exec memfd that holds b, which it borrows, and that
// nobody can change any more. The name is for people who look into /proc. The descriptor's
// offset is at the end, which ReadSealed does not mind.
//
// Errors are those of a lack of something, as an *os.SyscallError: EMFILE, ENFILE, ENOMEM,
// or EFBIG for more than RLIMIT_FSIZE (whose signal, SIGXFSZ, a Go program ignores).
func Seal(name string, b []byte) (fd int, err error) {
	return newMemory(name, sealedSeals, func(fd int) error {
		for at := 0; at < len(b); {
			n, err := unix.Write(fd, b[at:])
			switch {
			case err == unix.EINTR:
			case err != nil:
				return os.NewSyscallError("write", err)
			default:
				at += n
			}
		}
		return nil
	})
}

// Share returns an owned, close-on-exec memfd of so many zeroed bytes, whose size
// nobody can change any more: no process can make another's access of a mapping fail.
// Errors are as those of Seal, and EINVAL for a negative size.
func Share(name string, size int64) (fd int, err error) {
	return newMemory(name, sharedSeals, func(fd int) error {
		return os.NewSyscallError("ftruncate", unix.Ftruncate(fd, size))
	})
}

func newMemory(name string, seals int, fill func(fd int) error) (fd int, err error) {
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, fmt.Errorf("fdpass: memory: %w", os.NewSyscallError("memfd_create", err))
	}
	err = fill(fd)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		err = os.NewSyscallError("fcntl", err)
	}
	if err != nil {
		_ = unix.Close(fd) // the first error is the one to report
		return -1, fmt.Errorf("fdpass: memory: %w", err)
	}
	return fd, nil
}

// ReadSealed returns what is in a memfd that Seal, or another program's like, has made.
// It borrows fd. It reads (pread(2)) and never maps: what another process has sent may
// be any descriptor, and none can make it wait, or raise a signal, or have it allocate
// more than limit bytes.
//
// Errors wrap ErrNotMemfd, ErrUnsealed, ErrTooLong, or an *os.SyscallError.
func ReadSealed(fd int, limit int64) ([]byte, error) {
	size, err := sizeUnder(fd, sealedSeals)
	if err == nil && size > limit {
		err = fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, size, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("fdpass: read memory: %w", err)
	}
	b := make([]byte, size)
	for at := 0; at < len(b); {
		n, err := unix.Pread(fd, b[at:], int64(at))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, fmt.Errorf("fdpass: read memory: %w", os.NewSyscallError("pread", err))
		case n == 0:
			return nil, fmt.Errorf("fdpass: read memory: %w", io.ErrUnexpectedEOF) // it is sealed: cannot be
		default:
			at += n
		}
	}
	return b, nil
}

// SealedSize returns how many bytes are in a memfd that Seal, or another program's like, has
// made, for who reads it in pieces (pread(2)): they stay as they are. It borrows fd. Errors
// are those of ReadSealed.
func SealedSize(fd int, limit int64) (int64, error) {
	size, err := sizeUnder(fd, sealedSeals)
	if err == nil && size > limit {
		err = fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, size, limit)
	}
	if err != nil {
		return 0, fmt.Errorf("fdpass: sealed memory: %w", err)
	}
	return size, nil
}

// SharedSize returns the size of a memfd that Share, or another program's like, has
// made: as long as it is mapped, it has that size. It borrows fd. Errors are those of
// ReadSealed.
func SharedSize(fd int) (int64, error) {
	size, err := sizeUnder(fd, sharedSeals)
	if err != nil {
		return 0, fmt.Errorf("fdpass: shared memory: %w", err)
	}
	return size, nil
}

// IsMemory reports whether fd, which it borrows, is a memfd, sealed or not, or another file
// in memory (of a tmpfs): unlike that of other files that a process may be sent, its close
// waits for nothing.
func IsMemory(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	return err == nil
}

// sizeUnder returns the size of a memfd that has these seals.
func sizeUnder(fd, seals int) (int64, error) {
	got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	switch {
	case err == unix.EINVAL:
		return 0, ErrNotMemfd
	case err != nil:
		return 0, os.NewSyscallError("fcntl", err)
	case got&seals != seals:
		return 0, fmt.Errorf("%w: seals %#x, want %#x", ErrUnsealed, got, seals)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	return stat.Size, nil
}
