// Package leaktest makes a test fail that ends with more open descriptors than
// it began with, or with others. Goroutines are goleak's part.
//
//	func TestSomething(t *testing.T) {
//		leaktest.Descriptors(t) // first, so that it looks last
//		...
//	}
package leaktest

import (
	"maps"
	"os"
	"strconv"
	"testing"
)

// Descriptors compares the open descriptors at the end of the test, after its
// other cleanups, with those of now. The test must not run in parallel with one
// that opens any.
func Descriptors(t testing.TB) {
	t.Helper()
	StartPoller(t)
	before := open(t)
	t.Cleanup(func() {
		if after := open(t); !maps.Equal(before, after) {
			t.Errorf("open descriptors: %v at the start, %v at the end", before, after)
		}
	})
}

// StartPoller has the runtime open the descriptors of its own poller, which it
// keeps from then on. It would do so at the first use, and end the process if it
// has none left then.
func StartPoller(t testing.TB) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
}

// Count returns how many descriptors this process has open.
func Count(t testing.TB) int {
	t.Helper()
	return len(open(t))
}

// open returns what each open descriptor refers to.
func open(t testing.TB) map[int]string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	targets := make(map[int]string)
	for _, entry := range entries {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err != nil {
			continue // the descriptor that read the directory
		}
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		targets[fd] = target
	}
	return targets
}
