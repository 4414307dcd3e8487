package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// What prints an object prints one also when it fails, with what standard error says.
func TestFailuresAsJSON(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "1")
	nowhere := filepath.Join(shortDir(t), "nowhere")
	tests := map[string]struct {
		args    []string
		refused string // what a server says that can do nothing about it; empty: it does it
	}{
		"reload":      {nil, ""},
		"status":      {nil, ""},
		"config":      {nil, ""},
		"scale":       {[]string{"0"}, "0 workers are not possible"},
		"move":        {[]string{"--from", "77"}, "77"},
		"restart":     {[]string{"77"}, "77"},
		"drain":       {[]string{"77"}, "77"},
		"connections": {[]string{"--cursor", "wrong"}, "cursor"},
		"log-level":   {[]string{"debug", "--worker", "77"}, "77"},
	}
	notAsked := []string{"events", "bench"} // the one prints an object for each event, the other has a report
	for _, command := range kong.Must(new(cli), kong.Vars{"apps": "", "version": "", "controls": ""}).Model.Children {
		_, tested := tests[command.Name]
		if findFlag(command, "json") != nil && !tested && !slices.Contains(notAsked, command.Name) {
			t.Errorf("usher %s has --json, and no row here", command.Name)
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			args := append([]string{name, "--json"}, test.args...)
			failsAsJSON(t, usher(t, append(args, "--control", nowhere)...), "no master answers on "+nowhere)
			if test.refused != "" {
				failsAsJSON(t, s.ask(args...), test.refused)
			}
		})
	}
	s.stop()
}

func failsAsJSON(t *testing.T, got result, want string) {
	t.Helper()
	var answer struct{ Error string }
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != exitFailed {
		t.Errorf("%+v, %v; want exit status %d and an object", got, err, exitFailed)
	}
	if !strings.Contains(answer.Error, want) || got.stderr != "usher: "+answer.Error+"\n" {
		t.Errorf("%q, want %q, and the same on standard error: %q", answer.Error, want, got.stderr)
	}
}
