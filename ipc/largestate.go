package ipc

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// MaxLargeState is the longest frozen state that travels in a memfd, in bytes:
// four times what a worker buffers for one connection unless told otherwise. It
// bounds what a receiver allocates on another's word.
const MaxLargeState = 64 << 20

// stateSeals are on every memfd of a frozen state: it is what it was when it was
// checked, whoever else has it.
const stateSeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL

// errStateSize: MaxLargeState is exceeded.
var errStateSize = errors.New("state of the wrong size")

// SealState returns an owned memfd (memfd_create(2)) that holds state and can no
// longer be changed, for AddLarge. Errors are those of a lack of something:
// descriptors, memory, the limit of a file's size; or state is too long.
func SealState(state []byte) (fd int, err error) {
	fd, err = sealState(state)
	if err != nil {
		return -1, fmt.Errorf("ipc: seal state: %w", err)
	}
	return fd, nil
}

func sealState(state []byte) (int, error) {
	if len(state) == 0 || len(state) > MaxLargeState {
		return -1, fmt.Errorf("%w: %d bytes, want 1 to %d", errStateSize, len(state), MaxLargeState)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return -1, os.NewSyscallError("getrlimit", err)
	}
	if uint64(len(state)) > limit.Cur {
		return -1, os.NewSyscallError("write", unix.EFBIG) // the kernel would send SIGXFSZ, which ends the process
	}
	fd, err := unix.MemfdCreate("usher-state", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	for at := 0; at < len(state) && err == nil; {
		var n int
		n, err = unix.Pwrite(fd, state[at:], int64(at))
		if err == unix.EINTR {
			n, err = 0, nil
		}
		at, err = at+max(n, 0), os.NewSyscallError("pwrite", err)
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, stateSeals)
		err = os.NewSyscallError("fcntl", err)
	}
	if err != nil {
		_ = unix.Close(fd) // the first error is the one to report
		return -1, err
	}
	return fd, nil
}

// ReadState returns what is in the memfd of a large packet, which it borrows. It
// reads (pread(2)) and never maps: a sender is another program, and what it sent
// may be any descriptor. One that is no memfd, is not sealed as SealState seals
// it, or is empty or longer than MaxLargeState wraps ErrMalformed.
func ReadState(fd int) ([]byte, error) {
	size, err := sealedSize(fd)
	if err != nil {
		return nil, fmt.Errorf("ipc: read state: %w", err)
	}
	state := make([]byte, size)
	for at := 0; at < len(state); {
		n, err := unix.Pread(fd, state[at:], int64(at))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, fmt.Errorf("ipc: read state: %w", os.NewSyscallError("pread", err))
		case n == 0:
			return nil, fmt.Errorf("ipc: read state: %w", io.ErrUnexpectedEOF)
		default:
			at += n
		}
	}
	return state, nil
}

func sealedSize(fd int) (int64, error) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err == unix.EINVAL {
		return 0, fmt.Errorf("%w: the second descriptor is no memfd", ErrMalformed)
	}
	if err != nil {
		return 0, os.NewSyscallError("fcntl", err)
	}
	if seals&stateSeals != stateSeals {
		return 0, fmt.Errorf("%w: seals %#x, want %#x", ErrMalformed, seals, stateSeals)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	if stat.Size < 1 || stat.Size > MaxLargeState {
		return 0, fmt.Errorf("%w: %w: %d bytes, want 1 to %d", ErrMalformed, errStateSize, stat.Size, MaxLargeState)
	}
	return stat.Size, nil
}
