package sigmask

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// blocked returns the signals that the calling thread has blocked, as proc(5) has it.
func blocked(t *testing.T) (mask uint64) {
	t.Helper()
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "SigBlk:"); found {
			if mask, err = strconv.ParseUint(strings.TrimSpace(value), 16, 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	return mask
}

func bit(sig unix.Signal) uint64 { return 1 << (sig - 1) }

func TestBlock(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := blocked(t)
	undo, err := Block(unix.SIGUSR1, unix.SIGTTOU)
	if err != nil {
		t.Fatal(err)
	}
	if want := before | bit(unix.SIGUSR1) | bit(unix.SIGTTOU); blocked(t) != want {
		t.Errorf("blocked: %x, want %x", blocked(t), want)
	}
	undoOnly, err := BlockOnly(unix.SIGUSR2)
	if err != nil {
		t.Fatal(err)
	}
	if want := bit(unix.SIGUSR2); blocked(t) != want {
		t.Errorf("blocked: %x, want %x alone", blocked(t), want)
	}
	undoOnly()
	undo()
	if blocked(t) != before {
		t.Errorf("blocked: %x, want %x as before", blocked(t), before)
	}
}
