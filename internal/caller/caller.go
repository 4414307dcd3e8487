// Package caller tells goroutines apart, so that what belongs to one of them can
// notice that another one calls it.
//
// On amd64 and arm64 a goroutine is known by the address of the runtime's record
// of it, which the processor has at hand: 1 to 2 ns. Elsewhere, and with the build
// tag purego, it is known by its thread (gettid(2), some 100 ns), which holds only
// for a goroutine that is locked to one.
//
// An ID is no name of a goroutine: one that starts later may have the ID of one that has
// ended.
package caller
