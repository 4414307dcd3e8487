// Package testenv is given to net/http's tests in the place of internal/testenv, of which
// they use little.
package testenv

import (
	"os/exec"
	"testing"
)

// Builder names the builder of Go's own tests that this is: none.
func Builder() string { return "" }

// SkipFlaky skips a test that fails now and then on some systems, which are not ours.
func SkipFlaky(t testing.TB, issue int) {
	t.Helper()
	t.Skipf("https://go.dev/issue/%d", issue)
}

// Command is a command that ends with the test.
func Command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), name, args...)
}
