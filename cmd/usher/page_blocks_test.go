package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// blockStories are the tests that run, build or compare the blocks of a page which have a
// kind and a heading in common.
type blockStories struct {
	blocks int
	by     []string
	not    string // why there is none
}

func runBy(blocks int, tests ...string) blockStories { return blockStories{blocks: blocks, by: tests} }

// pageStories has every fenced block of every page, by kind and heading, such as "sh Quick
// start". Drawings are left out: package pagetest compares them with the code.
var pageStories = map[string]map[string]blockStories{
	"README.md": {
		"sh Quick start":                        runBy(3, "TestReadmeQuickStart"),
		"go A worker of your own, and a deploy": runBy(1, "TestReadmeWorker"),
		"sh A worker of your own, and a deploy": runBy(1, "TestReadmeWorker"),
	},
	"CONTRIBUTING.md": {"sh Checks": {blocks: 2, not: "scripts/check runs these tests, and a small scripts/bench; scripts/prove takes half an hour"}},
	"docs/configuration.md": {
		"sh": runBy(1, "TestConfigurationExamples"), "toml": runBy(1, "TestConfigurationExamples"),
	},
	"docs/control.md": {
		"sh Errors": runBy(1, "TestControlPage"), "json Errors": runBy(1, "TestControlPage"),
		"sh Status": runBy(3, "TestControlPage"), "json Status": runBy(3, "TestControlPage"),
		"sh Workers": runBy(4, "TestControlPage"), "json Workers": runBy(4, "TestControlPage"),
		"sh Events": runBy(2, "TestControlPage"), "text Events": runBy(2, "TestControlPage"),
		"json Asking workers": {blocks: 1, not: "what a worker that hangs leaves of an answer"},
		"sh Connections":      runBy(1, "TestControlPage"), "json Connections": runBy(2, "TestControlPage"),
		"sh Configuration": runBy(1, "TestControlPage"), "json Configuration": runBy(1, "TestControlPage"),
		"sh Log level": runBy(2, "TestControlPage"), "json Log level": runBy(2, "TestControlPage"),
		"sh Stacks and profiles": runBy(2, "TestControlPage"), "text Stacks and profiles": runBy(2, "TestControlPage"),
		"sh Metrics and health": runBy(2, "TestControlPage"), "text Metrics and health": runBy(2, "TestControlPage"),
		"sh Logs, upgrade and stop": runBy(3, "TestControlPage"), "json Logs, upgrade and stop": runBy(3, "TestControlPage"),
	},
	"docs/embedding.md": {"go": runBy(1, "TestEmbeddingPage")},
	"docs/operations.md": {
		"sh Start": runBy(1, "TestOperationsPage"), "toml Start": runBy(1, "TestOperationsPage"),
		"sh Metrics": runBy(1, "TestOperationsPage"), "yaml Metrics": runBy(1, "TestOperationsPage"),
		"console A session": runBy(1, "TestOperationsSession"),
	},
	"docs/other-languages.md": {"sh": runBy(2, "TestOtherLanguagesPage")},
	"docs/performance.md":     {"sh Load generator": runBy(1, "TestLoadGeneratorPage")},
	"docs/tls.md": {
		"sh Quick start":  runBy(2, "TestQuickStartOfTLS"),
		"sh Certificates": runBy(1, "TestCommandsOfTLSPage"), "toml Certificates": runBy(1, "TestCommandsOfTLSPage"),
		"sh Renewing": runBy(2, "TestCommandsOfTLSPage"), "ini Renewing": runBy(1, "TestCommandsOfTLSPage"),
		"sh Client certificates": runBy(2, "TestCommandsOfTLSPage"),
		"sh OCSP":                runBy(1, "TestCommandsOfTLSPage"),
		"sh Session tickets, and several machines": runBy(3, "TestCommandsOfTLSPage"),
		"sh PROXY headers":                         runBy(1, "TestCommandsOfTLSPage"),
		"PROXY headers":                            runBy(2, "TestProxiesInFront"),
	},
	"docs/web.md": {
		"go Quick start": runBy(1, "TestWebPage"), "sh Quick start": runBy(1, "TestWebPage"),
		"go HTTP/2": runBy(1, "TestWebPage"), "sh Measuring": runBy(1, "TestWebPage"),
		"go Behind a proxy": runBy(1, "TestWebBehindProxies"), "nginx Behind a proxy": runBy(1, "TestWebBehindProxies"), "haproxy Behind a proxy": runBy(2, "TestWebBehindProxies"),
		"Access log": {blocks: 2, not: "lines of a log, and a part of logrotate's configuration, which runs usher logs reopen"},
	},
	"docs/workers.md": {
		"go The first handler": runBy(1, "TestWorkersPage"), "sh The first handler": runBy(1, "TestWorkersPage"),
		"go A session": runBy(1, "TestWorkersPage"), "go Work that blocks": runBy(1, "TestWorkersPage"), "go Framing": runBy(1, "TestWorkersPage"),
		"go Metrics": runBy(1, "TestWorkersPage"), "go Testing": runBy(1, "TestWorkersPage"),
	},
	"ipc/PROTOCOL.md": {"python A complete worker": runBy(1, "ipc.TestPythonWorker")},
}

// pageBlocks returns the blocks of a page by kind and heading, for one of the stories that
// run them. There are as many of each as the stories run.
func pageBlocks(t *testing.T, page string) map[string][]string {
	t.Helper()
	story, _, _ := strings.Cut(t.Name(), "/")
	known := false
	for _, b := range pageStories[page] {
		known = known || slices.Contains(b.by, story)
	}
	if !known {
		t.Fatalf("pageStories has no block of %s for %s", page, story)
	}
	text, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	blocks := fencedBlocks(string(text))
	if diff := untold(blocks, pageStories[page]); diff != "" {
		t.Fatalf("blocks of %s, -those that are run +those there are; have a story run the new ones:\n%s", page, diff)
	}
	return blocks
}

// untold returns how blocks of a page, and those that its stories know, differ in number.
func untold(blocks map[string][]string, stories map[string]blockStories) (diff string) {
	told, there := make(map[string]int), make(map[string]int)
	for name, b := range stories {
		told[name] = b.blocks
	}
	for name, all := range blocks {
		there[name] = len(all)
	}
	return cmp.Diff(told, there)
}

// fencedBlocks returns the fenced blocks of a page, but for drawings, by kind and heading.
func fencedBlocks(page string) map[string][]string {
	blocks := make(map[string][]string)
	var heading, name, block string
	fenced := false
	for line := range strings.Lines(page) {
		word, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !fenced:
			fenced, name, block = true, strings.TrimSpace(strings.TrimSpace(word)+" "+heading), ""
		case fence:
			if fenced = false; !strings.HasPrefix(name, "mermaid ") {
				blocks[name] = append(blocks[name], block)
			}
		case fenced:
			block += line
		case strings.HasPrefix(line, "## "):
			heading = strings.TrimSpace(line[len("## "):])
		}
	}
	return blocks
}

// pageShows checks that a page has what a command prints, as an indented line, but for the
// numbers in it.
func pageShows(t *testing.T, page, printed string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if withoutNumbers(line) == withoutNumbers("    "+printed+"\n") {
			return
		}
	}
	t.Errorf("%s does not show %q", page, printed)
}
