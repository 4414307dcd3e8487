//go:build !(amd64 || arm64) || purego

package caller

import "golang.org/x/sys/unix"

// ByThread says whether ID tells threads apart, not goroutines.
const ByThread = true

// ID returns a number that no other thread has. It stays the same for a goroutine that
// is locked to its thread.
func ID() uintptr { return uintptr(unix.Gettid()) }
