package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// With few descriptors a server either can reload, or does not start, and says how
// to have more.
func TestTooFewDescriptors(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{20, 32, 40, 48, 56, 64, 80} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			cmd, _ := command("limited", fmt.Sprint(limit), "serve", "--workers", "2", "--listen", "127.0.0.1:0",
				"--control", filepath.Join(shortDir(t), "c"), "--", "/bin/false")
			said, _ := cmd.CombinedOutput() // it ends, in any case
			if strings.Contains(string(said), "descriptors, the limit is") {
				if !strings.Contains(string(said), "ulimit -n") || limit > 56 {
					t.Errorf("it says %s", said)
				}
				return
			}
			cmd, mark := command("limited", fmt.Sprint(limit))
			s := serveCommandLine(t, cmd, mark, "--workers", "2")
			for range 2 {
				if got := usher(t, "reload", "--control", s.control); got.code != 0 {
					t.Errorf("%+v", got)
				}
			}
			s.signal(unix.SIGTERM)
			s.ends(0)
		})
	}
}
