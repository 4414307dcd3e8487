package main

import (
	"strings"
	"testing"
	"time"
)

// Status says what came of the last reload, and goes on saying so after an upgrade.
func TestStatusOfLastReload(t *testing.T) {
	t.Parallel()
	folder := shortDir(t)
	path, worker := folder+"/usher.toml", folder+"/w"
	configure := func(dispatch, text string) {
		writeFile(t, path, "workers = 1\nprogram = [\""+worker+"\"]\n"+dispatch)
		script(t, worker, text)
	}
	good := "#!/bin/sh\nexec " + self() + " worker lines\n"
	configure("", good)
	p := install(t)
	s := p.serve("--config", path, "--drain-timeout", "1s")
	if last := s.now().Reload; last != nil {
		t.Errorf("before any: %+v", last)
	}
	c := dial(t, s.address)
	c.ask(t, "hello")
	for _, test := range []struct {
		name, dispatch, script   string
		result, why, server      string
		generation, moved, exits int
	}{
		{"refused", "dispatch = \"nowhere\"\n", good, "refused", "nowhere", "all stays as it is:", 2, 0, exitFailed},
		{"failed", "", "#!/bin/sh\necho no database >&2\nexit 3\n", "failed", "no database", "the old workers keep serving:", 2, 0, exitFailed},
		{"done", "", good, "done", "", "generation 2, 1 moved, 0 drained, 0 lost, longest pause ", 2, 1, 0},
	} {
		configure(test.dispatch, test.script)
		before := time.Now().Add(-time.Second)
		if got := s.ask("reload"); got.code != test.exits || got.code != 0 && !strings.HasPrefix(got.stderr, "usher: reload "+test.result+", "+test.server+" ") {
			t.Errorf("%s: %+v", test.name, got)
		}
		last := s.now().Reload
		if last == nil || last.Result != test.result || (last.Error == "") != (test.why == "") || !strings.Contains(last.Error, test.why) ||
			last.Generation != test.generation || last.Moved != uint64(test.moved) || last.Lost != 0 || last.At.Before(before) {
			t.Errorf("%s: %+v", test.name, last)
		}
		got := s.ask("status")
		if !strings.Contains(got.stdout, "\nlast reload: "+test.result+" at "+last.At.Format(time.RFC3339)+", "+test.server) || !strings.Contains(got.stdout, test.why) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
	if got := s.ask("upgrade"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	if last := s.now().Reload; last == nil || last.Result != "done" || last.Moved != 1 || last.LongestPauseMS <= 0 {
		t.Errorf("after an upgrade: %+v", last)
	}
	c.ask(t, "still here")
	c.leave(t)
	s.until("one worker", ready(1))
	s.stop()
}
