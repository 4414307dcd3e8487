package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A number of passed sockets that cannot be is refused, by its name, and nothing
// breaks.
func TestListenFDsThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"99999999999", "99999999999999999999", "1000000", "-1", "many", ""} {
		cmd, _ := command("serve", "--listen", "systemd://", "--control", filepath.Join(shortDir(t), "c"))
		shell := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`}, cmd.Args...)...)
		shell.Env = append(cmd.Env, "LISTEN_FDS="+number)
		said, err := shell.CombinedOutput()
		if code := shell.ProcessState.ExitCode(); err == nil || code != exitUsage || !strings.Contains(string(said), "LISTEN_FDS is ") {
			t.Errorf("%q: exit status %d, %s", number, code, said)
		}
	}
}
