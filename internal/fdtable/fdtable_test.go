package fdtable

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/leaktest"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// size returns how many numbers the table has room for (proc_pid_status(5)).
func size(t *testing.T) (n int) {
	t.Helper()
	content, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(content), "\nFDSize:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestGrow(t *testing.T) {
	leaktest.Descriptors(t)
	if err := Grow(-1, 10); err == nil {
		t.Error("no error for a descriptor that is none")
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{1000, 1500, 10, int(limit.Cur), int(limit.Cur) + 1, 1 << 40} {
		if err := Grow(0, want); err != nil {
			t.Errorf("%d: %v", want, err)
		}
		if got := size(t); got < min(want, int(limit.Cur)) {
			t.Errorf("%d: room for %d", want, got)
		}
	}
}
