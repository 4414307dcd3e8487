package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/configuration.md anew")

const configurationPath = "../../docs/configuration.md"

// The page is what the table says. With -update it is written.
func TestConfigurationPage(t *testing.T) {
	want := configurationPage()
	if *update {
		writeFile(t, configurationPath, want)
	}
	got, err := os.ReadFile(configurationPath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/configuration.md is not what settings.go says; go test ./cmd/usher -run TestConfigurationPage -update writes it; -want +got:\n%s", diff)
	}
}

const pageHead = `# Configuration

<!-- Generated from cmd/usher/settings.go: go test ./cmd/usher -run TestConfigurationPage -update -->

` + "`usher serve [flags] [-- program args…]`" + ` takes the settings below, and ` + "`usher check`" + ` the same: it starts nothing, and says what would be served, or what is wrong and where.

Each setting is a flag, an environment variable, and a key of the TOML file that ` + "`--config`" + ` names:

` + "```sh\nusher serve --drain-timeout 1m\nUSHER_DRAIN_TIMEOUT=1m usher serve\n```\n\n```toml" + `
# usher serve --config usher.toml
listen = [":9000", "unix:///run/app.sock?mode=0660"]
drain-timeout = "1m"
recycle-rss = "512MiB"
program = ["./echo", "--greeting", "hello"]
` + "```" + `

- A flag wins over the environment, which wins over the file, which wins over the default.
- A setting that is a list is repeated as a flag (` + "`--listen :80 --listen :81`" + `), or has commas, as its variable does (` + "`USHER_LISTEN=:80,:81`" + `).
- A duration has a unit (` + "`1h30m`, `100ms`" + `), and so may a size have: ` + "`KiB`, `MiB`, `GiB` and `TiB`, or `K`, `M`, `G` and `T` for the same" + `, powers of 1024 bytes.
- Relative paths count from ` + "`directory`" + `, in which a reload follows symlinks anew. What the master makes at the start (` + "`control`, `pid-file`, `log-file`" + `) stays where it was.
- A reload (` + "`usher reload`" + `, or the signal ` + "`HUP`" + `) reads the file again, and starts new workers by what it says. It is refused, and all stays as it is, if anything in it is wrong, if it changes a setting that is fixed, or if the file is empty or has lost ` + "`listen` or `program`" + `, as one has that was cut off.

## Overview

| setting | default | a reload |
|---|---|---|
`

// configurationPage is docs/configuration.md.
func configurationPage() string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, row := range settings {
		fmt.Fprintf(&b, "| [%s](#%[1]s) | %s | %s |\n", row.key, row.pageDefault(), row.pageReload())
	}
	b.WriteString("\n## Settings\n")
	for _, row := range settings {
		fmt.Fprintf(&b, "\n### %s\n\n%s", row.key, codeFlags(row.help))
		if row.more != "" {
			b.WriteString(" " + row.more)
		}
		fmt.Fprintf(&b, "\n\n%s. Default: %s.\n\n%s.\n", row.pageValue(), row.pageDefault(), row.pageSources())
	}
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
	text := strings.ToUpper(s.kind().want[:1]) + s.kind().want[1:]
	if s.unit != "" {
		text += " of " + s.unit
	}
	if s.wants != "" {
		text += "; " + s.wants
	}
	return text
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
