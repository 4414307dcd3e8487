//go:build !(amd64 || arm64) || purego

package caller

import "golang.org/x/sys/unix"

// ByThread says whether ID is the thread's.
const ByThread = true

// ID returns what no other thread has, and what stays the same for a goroutine
// that is locked to its thread.
func ID() uintptr { return uintptr(unix.Gettid()) }
