package main

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/usher-go/usher/master"
)

func TestFrame(t *testing.T) {
	for _, test := range []struct {
		name          string
		lines         []string
		columns, rows int
		want          string
	}{
		{"room", []string{"one", "two"}, 10, 5, "\x1b[Hone\x1b[K\r\ntwo\x1b[K\x1b[J\x1b[H"},
		{"as many lines as there is room for", []string{"one", "two"}, 10, 2, "\x1b[Hone\x1b[K\r\ntwo\x1b[K\x1b[J\x1b[H"},
		{"too wide", []string{"abcdef"}, 4, 2, "\x1b[Habc\x1b[K\x1b[J\x1b[H"},
		{"letters of two bytes", []string{"äöüß"}, 4, 2, "\x1b[Häöü\x1b[K\x1b[J\x1b[H"},
		{"too many", []string{"1", "2", "3", "4"}, 20, 3, "\x1b[H1\x1b[K\r\n2\x1b[K\r\n… 2 lines more\x1b[K\x1b[J\x1b[H"},
		{"one row", []string{"1", "2"}, 20, 1, "\x1b[H… 2 lines more\x1b[K\x1b[J\x1b[H"},
		{"one column", []string{"1"}, 1, 1, "\x1b[H\x1b[K\x1b[J\x1b[H"},
		{"a terminal that does not say", []string{strings.Repeat("x", 100)}, 0, 0, "\x1b[H" + strings.Repeat("x", 79) + "\x1b[K\x1b[J\x1b[H"},
		{"what acts on terminals", []string{"a\x1b[2Jb\tc\r"}, 20, 3, "\x1b[Ha�[2Jb�c�\x1b[K\x1b[J\x1b[H"},
		{"nothing", nil, 20, 3, "\x1b[H\x1b[J\x1b[H"},
	} {
		if got := frame(test.lines, test.columns, test.rows); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// In 20 columns there is what matters most.
func TestWatchLinesAreCutWell(t *testing.T) {
	status := master.Status{
		PID: 4711, Version: "devel", Generation: 12, Connections: master.Counts{Active: 123, Queued: 4},
		Workers: []master.WorkerStatus{{Slot: 3, State: "ready", Connections: 7}, {Slot: 4, State: "draining"}},
		Reload:  &master.ReloadStatus{Result: "refused", Error: "usher.toml:3:\nno such key"},
	}
	lines := watchLines(status, rates{accepts: rate{12.34, true}, bytesIn: rate{2048, true}})
	var got []string
	for _, line := range lines {
		got = append(got, strings.TrimSpace(cut(line, 19)))
		if !utf8.ValidString(line) || strings.ContainsAny(line, "\n\r\t") {
			t.Errorf("not a line: %q", line)
		}
	}
	want := []string{"usher devel, master", "generation 12", "workers 1 ready, 1", "123 active, 4 queue", "12.3 accepts/s", "2 KiB/s in, -/s out",
		"last reload: refuse", "usher.toml:3:", "no such key", "", "slot     state  a", "3     ready", "4  draining"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	line := strings.Join(summary(status, rates{}), "; ")
	if want := "generation 12; workers 1 ready, 1 draining; 123 active, 4 queued, 0 moved, 0 refused, 0 lost, 0 cut; - accepts/s; -/s in, -/s out; reload refused at "; !strings.HasPrefix(line, want) {
		t.Errorf("%q, want %q", line, want)
	}
	if got, want := silenceLine(3600*time.Millisecond, errors.New("used")), "no answer for 4s: used"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
