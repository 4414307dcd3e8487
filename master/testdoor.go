//go:build testdoors

package master

import "github.com/usher-go/usher/master/internal/dispatch"

// TestDispatcher is the accept goroutine as the test of package handover drives it. It
// exists only in builds with the tag testdoors.
type TestDispatcher = dispatch.TestDispatcher

// NewTestDispatcher makes one. broken is called about a worker that is to be replaced.
func NewTestDispatcher(broken func(slot int, err error)) (*TestDispatcher, error) {
	return dispatch.NewTestDispatcher(broken)
}
