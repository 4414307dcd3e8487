package ipc

import (
	"errors"
	"fmt"

	"github.com/usher-go/usher/fdpass"
)

// MaxLargeState is the longest frozen state that travels in a memfd, in bytes:
// four times what a worker buffers for one connection unless told otherwise. It
// bounds what a receiver allocates on another's word.
const MaxLargeState = 64 << 20

// errStateSize: a state that is empty, or longer than MaxLargeState.
var errStateSize = errors.New("state of the wrong size")

// SealState returns an owned memfd that holds state and can no longer be changed, for
// AddLarge: see fdpass.Seal. Errors are those of a lack of something: descriptors,
// memory, the limit of a file's size; or state is empty or too long.
func SealState(state []byte) (fd int, err error) {
	if err = checkStateSize(len(state)); err == nil {
		fd, err = fdpass.Seal("usher-state", state)
	}
	if err != nil {
		return -1, fmt.Errorf("ipc: seal state: %w", err)
	}
	return fd, nil
}

// ReadState returns what is in the memfd of a large packet, which it borrows: see
// fdpass.ReadSealed. One that is no memfd, is not sealed as SealState seals it, or is
// empty or longer than MaxLargeState wraps ErrMalformed.
func ReadState(fd int) ([]byte, error) {
	state, err := fdpass.ReadSealed(fd, MaxLargeState)
	switch {
	case errors.Is(err, fdpass.ErrNotMemfd), errors.Is(err, fdpass.ErrUnsealed), errors.Is(err, fdpass.ErrTooLong):
		err = fmt.Errorf("%w: %w", ErrMalformed, err)
	case err == nil && len(state) == 0:
		err = fmt.Errorf("%w: %w", ErrMalformed, checkStateSize(0))
	}
	if err != nil {
		return nil, fmt.Errorf("ipc: read state: %w", err)
	}
	return state, nil
}

func checkStateSize(n int) error {
	if n < 1 || n > MaxLargeState {
		return fmt.Errorf("%w: %d bytes, want 1 to %d", errStateSize, n, MaxLargeState)
	}
	return nil
}
