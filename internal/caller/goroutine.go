//go:build (amd64 || arm64) && !purego

package caller

// ByThread says whether ID tells threads apart, not goroutines.
const ByThread = false

// ID returns a number that no other living goroutine has, and that stays the same for
// the life of the calling one.
func ID() uintptr
