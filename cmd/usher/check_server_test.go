package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// What a reload of the server that runs would be refused for, check warns of; and of nothing
// else that differs.
func TestCheckBesideServer(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `workers = 1`)
	check := func(lines ...string) []string {
		t.Helper()
		s.write(lines...)
		got := usher(t, "check", "--config", s.path)
		if got.code != 0 || got.stderr != "" {
			t.Errorf("%+v", got)
		}
		return strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
	}
	pidFile := filepath.Join(filepath.Dir(s.path), "pid")
	got := check(`workers = 2`, `max-workers = 7`, `idle-timeout = "3s"`, fmt.Sprintf("pid-file = %q", pidFile))
	want := []string{
		"warning: max-workers is 7, and 256 at the server that answers on " + s.control + ": ",
		fmt.Sprintf(`warning: pid-file is %q, and "" at the server that answers on %s: `, pidFile, s.control),
		"ok: ",
	}
	for i, line := range want {
		if len(got) != len(want) || !strings.HasPrefix(got[i], line) {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	s.refusesReload("max-workers, pid-file cannot change by a reload")
	if got := check(`workers = 1`, `idle-timeout = "3s"`); len(got) != 1 {
		t.Errorf("%q, want no warning", got)
	}
	s.reload()
	s.stop()
	if got := check(`workers = 1`, `max-workers = 7`); len(got) != 1 {
		t.Errorf("without a server: %q, want no warning", got)
	}
}
