package main

import (
	"slices"
	"strings"
	"testing"
)

// Which variables no server reads, and which may have been meant.
func TestUnreadVariables(t *testing.T) {
	var all []string
	for _, row := range settings {
		all = append(all, row.variable())
	}
	tests := []struct {
		name    string
		environ []string
		want    []unreadVariable
	}{
		{"all that there are", slices.Concat(all, otherVariables), nil},
		{"of others", []string{"PATH=/bin", "ACT_AS_USHER=1", "XUSHER_WORKER=2"}, nil},
		{"a letter is missing", []string{"USHER_WORKER=2"}, []unreadVariable{{"USHER_WORKER", "USHER_WORKERS"}}},
		{"a letter too much", []string{"USHER_LISTENS=:80"}, []unreadVariable{{"USHER_LISTENS", "USHER_LISTEN"}}},
		{"another letter", []string{"USHER_MAX-CONNS=1"}, []unreadVariable{{"USHER_MAX-CONNS", "USHER_MAX_CONNS"}}},
		{"of a client's flag", []string{"USHER_JSON=1"}, []unreadVariable{{"USHER_JSON", ""}}},
		{"far from all", []string{"USHER_GREETING=hello"}, []unreadVariable{{"USHER_GREETING", ""}}},
		{"nothing but the prefix", []string{"USHER_="}, []unreadVariable{{"USHER_", ""}}},
		{"in other letters", []string{"USHER_workers=2"}, []unreadVariable{{"USHER_workers", ""}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := unreadVariables(test.environ); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestEdits(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "axc", 1}, {"abc", "bc", 1}, {"abc", "abcd", 1}, {"kitten", "sitting", 3}} {
		if got := edits(test.a, test.b); got != test.want {
			t.Errorf("%q to %q: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

// A misspelt variable is told at the start, and by check.
func TestMisspeltVariable(t *testing.T) {
	t.Parallel()
	const misspelt = "USHER_DRAIN_TIMEOUTS=1m"
	s := serveConfiguredIn(t, []string{misspelt}, `workers = 1`)
	s.log.await(t, 1, "[WARN]", "no setting has this variable of the environment", "variable=USHER_DRAIN_TIMEOUTS meant=USHER_DRAIN_TIMEOUT")
	s.stop()
	cmd, mark := command("check", "--config", s.path)
	t.Cleanup(func() { killMarked(mark) })
	cmd.Env = append(cmd.Env, misspelt)
	out, err := cmd.Output()
	if want := "warning: no setting has the variable USHER_DRAIN_TIMEOUTS; did you mean USHER_DRAIN_TIMEOUT?\n"; err != nil || !strings.HasPrefix(string(out), want) {
		t.Errorf("%v: %s\nwant %s", err, out, want)
	}
}
