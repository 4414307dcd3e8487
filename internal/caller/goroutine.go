//go:build (amd64 || arm64) && !purego

package caller

// ByThread says whether ID is the thread's.
const ByThread = false

// ID returns what no other goroutine that lives has, and what stays the same for
// the life of the caller's.
func ID() uintptr
