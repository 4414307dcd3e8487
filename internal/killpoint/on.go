//go:build killpoints

package killpoint

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

var point, file = os.Getenv(EnvPoint), os.Getenv(EnvFile)

// Reach stops the process if p is the point to stop at and no process has
// stopped there yet.
func Reach(p Point) {
	if Table[p].Name != point {
		return
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return // another was first
	}
	_, _ = f.WriteString(strconv.Itoa(os.Getpid())) // the test reads it, and fails without
	_ = f.Close()
	// To this very thread, on which the loop is locked: it then does not get
	// beyond the call. One to the process may be taken by another thread.
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP) // cannot fail for oneself
}
