package fdpass_test

import (
	"errors"
	"testing"

	"github.com/usher-go/usher/fdpass"
)

// Whoever cannot wait for a close gets every descriptor that Receive does not
// return, once.
func TestDiscard(t *testing.T) {
	errExpect := errors.New("an expectation of its own")
	tests := map[string]struct {
		sent, room int
		expect     func([]byte) (int, error)
		want       error
	}{
		"no room for most":       {5, 2, nil, fdpass.ErrSurplus},
		"more than expected":     {3, 8, exactly(2), fdpass.ErrSurplus},
		"fewer than expected":    {3, 8, exactly(4), fdpass.ErrMissing},
		"refused by the payload": {3, 8, func([]byte) (int, error) { return 3, errExpect }, errExpect},
		"none":                   {0, 8, exactly(1), fdpass.ErrMissing},
		"as expected":            {3, 8, exactly(3), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			send(t, a, "four", null(t, test.sent))
			var discarded []int
			r := fdpass.Receiver{Discard: func(fds []int) { discarded = append(discarded, fds...) }}
			fds := make([]int, test.room)
			_, n, err := r.Receive(b, make([]byte, 4), fds, test.expect)
			if err != test.want || n+len(discarded) != test.sent || err == nil && len(discarded) > 0 {
				t.Errorf("got %d and %v, discarded %v; want %d in all, %v", n, err, discarded, test.sent, test.want)
			}
			fdpass.CloseAll(fds[:n])
			fdpass.CloseAll(discarded)
		})
	}
}
