package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
)

// What is in force says where it is from, after a reload and an upgrade, too.
func TestConfigCommand(t *testing.T) {
	t.Parallel()
	s := serveConfiguredIn(t, []string{"USHER_DRAIN_TIMEOUT=3s"}, "# a comment", "workers = 2", "worker-memory = '64MiB'")
	expect := func(want ...string) {
		t.Helper()
		got := s.ask("config")
		for _, line := range want {
			if !slices.ContainsFunc(strings.Split(got.stdout, "\n"), func(have string) bool { return strings.Join(strings.Fields(have), " ") == line }) {
				t.Errorf("%+v, want %q", got, line)
			}
		}
	}
	at := func(line int) string { return fmt.Sprintf("file %s:%d", s.path, line) }
	expect("generation 1", "workers 2 "+at(2), `worker-memory "64MiB" `+at(3), `drain-timeout "3s" environment USHER_DRAIN_TIMEOUT`,
		`config `+quoted(s.path)+` flag`, `boot-timeout "10s" default`, `log-level "info" default`, `tls-cert [] default`, `move-failures "1%" default`)
	s.ask("scale", "+1")
	s.ask("log-level", "debug")
	expect("workers 3 change, configured: 2", `log-level "debug" change, configured: "info"`)
	if got := s.ask("upgrade"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	expect("workers 3 change, configured: 2", `log-level "debug" change, configured: "info"`, "workers 3 change, configured: 2")
	if all := s.listed(); len(all.Unanswered) != 0 {
		t.Errorf("after an upgrade: %+v", all)
	}
	s.write("workers = 1", "log-level = 'warn'")
	s.reload()
	expect("generation 2", "workers 1 "+at(1), `log-level "warn" `+at(2), `worker-memory "0" default`)
	s.ask("log-level", "default")
	var inForce master.InForce
	if err := json.Unmarshal([]byte(s.ask("config", "--json").stdout), &inForce); err != nil || len(inForce.Settings) != len(settings) {
		t.Errorf("%d settings of %d, %v", len(inForce.Settings), len(settings), err)
	}
}

func quoted(text string) string {
	b, _ := json.Marshal(text) // of a path of a test
	return string(b)
}

// Every setting can be shown, as the file would have it.
func TestPlainValues(t *testing.T) {
	var v values
	for _, row := range settings {
		if value := plainValue(row.field(&v)); row.mismatch(asFile(value)) != "" && row.choices == nil {
			t.Errorf("%s is shown as %v, want %s", row.key, value, row.mismatch(asFile(value)))
		}
	}
}

// asFile returns a value with the type that a file's reader gives it.
func asFile(value any) any {
	switch value := value.(type) {
	case int:
		return int64(value)
	case []string:
		return []any{}
	}
	return value
}

func TestPrintable(t *testing.T) {
	if got, want := printableLines("a\tb\n\r\x1b[2J\u009b"), "a\tb\n\ufffd\ufffd[2J\ufffd"; got != want {
		t.Errorf("lines: %q, want %q", got, want)
	}
	for text, want := range map[string]string{"": "", "as it is é": "as it is é", "\x1b[2J\n\t": "\ufffd[2J\ufffd\ufffd", "\u202egnp": "\ufffdgnp"} {
		if got := printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestByteSizesAreWritten(t *testing.T) {
	for size, want := range map[byteSize]string{0: "0", 1: "1", 1023: "1023", 1024: "1KiB", 1 << 20: "1MiB", 3 << 30: "3GiB", 5 << 40: "5TiB", 1<<20 + 1: "1048577"} {
		var back byteSize
		if got := size.String(); got != want || back.UnmarshalText([]byte(got)) != nil || back != size {
			t.Errorf("%d: %s, want %s", int64(size), got, want)
		}
	}
}
