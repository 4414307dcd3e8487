package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/usher-go/usher/internal/pagetest"
)

var update = flag.Bool("update", false, "write the settings into docs/configuration.md")

// The page says what the table says. With -update that is written.
func TestConfigurationPage(t *testing.T) {
	pagetest.Part(t, "../../docs/configuration.md", "settings", settingsPage(), *update)
}

// Each flag that --help has is in docs/configuration.md, where a heading has its name; and
// each heading there is one, or the program.
func TestConfigurationHasEveryFlag(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"serve", "check"} {
		help := usher(t, command, "--help")
		if help.code != 0 || len(flagsOf(help.stdout)) < 40 {
			t.Fatalf("usher %s --help: %+v", command, help)
		}
		if diff := cmp.Diff(flagsOf(help.stdout), flagHeadings(string(text))); diff != "" {
			t.Errorf("flags of usher %s, -in --help +in the page:\n%s", command, diff)
		}
	}
}

// flagsOf returns the flags in what --help prints, but for those of every command.
func flagsOf(help string) (flags []string) {
	for _, m := range regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z][a-z0-9-]*)`).FindAllStringSubmatch(help, -1) {
		if !slices.Contains([]string{"help", "version", "json"}, m[1]) {
			flags = append(flags, m[1])
		}
	}
	slices.Sort(flags)
	return slices.Compact(flags)
}

// flagHeadings returns the settings that a page has a heading of, but for the program, which
// is no flag.
func flagHeadings(page string) (keys []string) {
	for _, m := range regexp.MustCompile(`(?m)^### ([a-z][a-z0-9-]*)$`).FindAllStringSubmatch(page, -1) {
		if m[1] != "program" {
			keys = append(keys, m[1])
		}
	}
	slices.Sort(keys)
	return keys
}

func TestFlagsOfHelp(t *testing.T) {
	const help = "Flags:\n  -h, --help   Show it.\n      --config=PATH   See --workers.\n      --tls-min=\"1.2\"\n      --list  Have it.\n  -w, --watch\n  -v, --version\n"
	if diff := cmp.Diff([]string{"config", "list", "tls-min", "watch"}, flagsOf(help)); diff != "" {
		t.Error(diff)
	}
	const page = "## Settings\n\n### tls-min\n\n`--config`\n\n### config\n\n### program\n"
	if diff := cmp.Diff([]string{"config", "tls-min"}, flagHeadings(page)); diff != "" {
		t.Error(diff)
	}
}

// settingsPage is the part of docs/configuration.md that the table makes.
func settingsPage() string {
	var b strings.Builder
	b.WriteString("\n| setting | default | a reload |\n|---|---|---|\n")
	for _, row := range settings {
		fmt.Fprintf(&b, "| [%s](#%[1]s) | %s | %s |\n", row.key, row.pageDefault(), row.pageReload())
	}
	for _, row := range settings {
		fmt.Fprintf(&b, "\n### %s\n\n%s", row.key, codeFlags(row.help))
		if row.more != "" {
			b.WriteString(" " + row.more)
		}
		fmt.Fprintf(&b, "\n\n%s. Default: %s.\n\n%s.\n", row.pageValue(), row.pageDefault(), row.pageSources())
	}
	b.WriteString("\n")
	return b.String()
}

// codeFlags has the names of flags in code.
func codeFlags(text string) string {
	words := strings.Split(text, " ")
	for i, word := range words {
		name := strings.TrimRight(word, ",.;:")
		if strings.HasPrefix(name, "--") && len(name) > len("--") {
			words[i] = "`" + name + "`" + word[len(name):]
		}
	}
	return strings.Join(words, " ")
}

// pageValue says how its values are written, and which there are.
func (s *setting) pageValue() string {
	if s.choices != nil {
		return "One of `" + strings.Join(s.choices, "`, `") + "`"
	}
	text := s.kind().want
	switch _, made := s.field(new(values)).(*madePath); {
	case made:
		text = "a path, which stays where it was at the start"
	case s.placeholder == "PATH":
		text = "a path"
	case s.unit != "":
		text += " of " + s.unit
	}
	if s.wants != "" {
		text += "; " + s.wants
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

func (s *setting) pageDefault() string {
	switch {
	case s.computed != nil:
		return s.byDefault
	case s.byDefault != "":
		return "`" + s.byDefault + "`"
	case s.kind().want == kindOf(new(bool)).want:
		return "`false`"
	}
	return "none"
}

func (s *setting) pageReload() string {
	switch {
	case s.fixed:
		return "cannot change it"
	case s.beforeFile:
		return "takes it as at the start"
	case s.kept:
		return "changes it, unless the file has lost it"
	}
	return "changes it"
}

// pageSources says where it is set.
func (s *setting) pageSources() string {
	if s.argument {
		return "After `--`; in the file `" + s.key + "`"
	}
	text := fmt.Sprintf("`--%s`; in the environment `%s`", s.key, s.variable())
	if s.beforeFile {
		return text + "; not in the file"
	}
	return text + "; in the file `" + s.key + "`"
}
