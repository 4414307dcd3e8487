package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What pages name in a line, as `usher move --from SLOT`, is there: the command, and each
// flag, which is one of that command or, where none is named, of any.
func TestPagesNameCommands(t *testing.T) {
	usher, others := completedOf(mustRead(t, "version").context.Model.Node), benchScriptFlags(t)
	spans := 0
	for page, text := range readPages(t) {
		for _, span := range codeSpans(text) {
			spans++
			if wrong := misnamed(span, usher, others); wrong != "" {
				t.Errorf("%s has `%s`: %s", page, span, wrong)
			}
		}
	}
	if spans < 300 {
		t.Errorf("%d names in code", spans)
	}
}

// codeSpans returns what a page has in code within its lines.
func codeSpans(page string) (spans []string) {
	prose := regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(page, "")
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(prose, -1) {
		spans = append(spans, m[1])
	}
	return spans
}

// benchScriptFlags returns the flags of scripts/bench, whose program is a module of its own.
func benchScriptFlags(t *testing.T) (flags []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../testdata/bench", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`\bflag\.\w+\((?:&[\w.]+, )?"([\w-]+)"`).FindAllSubmatch(text, -1) {
		flags = append(flags, string(m[1]))
	}
	if len(flags) < 5 {
		t.Fatalf("scripts/bench has the flags %q", flags)
	}
	return flags
}

var flagInText = regexp.MustCompile(`(?:^|[\s\[])--([a-z][a-z0-9-]*)`)

// misnamed says what a span of code names of usher's that is not there. others are flags of
// other programs of this repository.
func misnamed(span string, usher completedCommand, others []string) string {
	command := usher
	words := strings.Fields(strings.Trim(span, "[]"))
	switch words[0] {
	case "usher":
		for _, word := range words[1:] {
			i := slices.IndexFunc(command.commands, func(c completedCommand) bool { return c.name == word })
			if i < 0 {
				break
			}
			command = command.commands[i]
		}
		if command.path == "" && len(words) > 1 && regexp.MustCompile(`^[a-z]`).MatchString(words[1]) {
			return "there is no such command"
		}
	case "curl", "go", "git", "openssl", "systemctl":
		return ""
	}
	known := flagNames(command, command.path == "")
	if words[0] != "usher" {
		for _, name := range others {
			known[name] = true
		}
	}
	for _, m := range flagInText.FindAllStringSubmatch(span, -1) {
		if !known[m[1]] && m[1] != "help" && m[1] != "version" {
			return fmt.Sprintf("there is no --%s", m[1])
		}
	}
	return ""
}

// flagNames returns the flags of a command, and with all those of its commands.
func flagNames(command completedCommand, all bool) map[string]bool {
	names := make(map[string]bool)
	for _, flag := range command.flags {
		names[flag.name] = true
	}
	if all {
		for _, c := range command.commands {
			maps.Copy(names, flagNames(c, true))
		}
	}
	return names
}

func TestMisnamedIsFound(t *testing.T) {
	usher := completedOf(mustRead(t, "version").context.Model.Node)
	tests := []struct{ span, want string }{
		{"usher", ""},
		{"usher status", ""},
		{"usher status --watch [--interval 1s]", ""},
		{"usher logs reopen", ""},
		{"usher check …", ""},
		{"usher --help", ""},
		{"--drain-timeout", ""},
		{"[--from SLOT]", ""},
		{"--from SLOT", ""},
		{"--also BUILD", ""},
		{"curl --cacert FILE", ""},
		{"a--b", ""},
		{"usher state", "no such command"},
		{"usher status --form", "no --form"},
		{"usher status --from 1", "no --from"},
		{"usher scale [--too 1]", "no --too"},
		{"--drain-time", "no --drain-time"},
		{"usher status --also BUILD", "no --also"},
	}
	for _, test := range tests {
		if got := misnamed(test.span, usher, []string{"also"}); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", test.span, got, test.want)
		}
	}
	if got := codeSpans("a `b c` d\n```sh\n`e`\n```\n`f`"); !slices.Equal(got, []string{"b c", "f"}) {
		t.Errorf("%q", got)
	}
}
