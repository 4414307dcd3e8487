package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every block of every page has a story that runs it, or a reason why none does; and no
// command hides in an indented line, of which nobody would know.
func TestPagesAreTold(t *testing.T) {
	pages, tests := readPages(t), testsOf(t)
	if len(pages) < 15 {
		t.Fatalf("%d pages", len(pages))
	}
	for _, wrong := range notTold(pages, pageStories, tests) {
		t.Error(wrong)
	}
	for page, text := range pages {
		for name, blocks := range fencedBlocks(text) {
			for _, script := range regexp.MustCompile(`(?m)^scripts/[\w-]+`).FindAllString(strings.Join(blocks, ""), -1) {
				if info, err := os.Stat(filepath.Join("../..", script)); err != nil || info.Mode()&0o111 == 0 {
					t.Errorf("%s, %s: %s cannot be run: %v", page, name, script, err)
				}
			}
		}
	}
}

// readPages returns the pages of the repository, by their paths.
func readPages(t *testing.T) map[string]string {
	t.Helper()
	pages := make(map[string]string)
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "node_modules"}, entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		text, err := os.ReadFile(filepath.Join("../..", path))
		pages[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// testsOf returns the test files of the packages whose tests are stories of pages, each by
// the tests in it: those of this package by their names, others as package.Test.
func testsOf(t *testing.T) map[string]string {
	t.Helper()
	files := make(map[string]string)
	for folder, prefix := range map[string]string{".": "", "../../ipc": "ipc."} {
		names, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
				files[prefix+string(m[1])] = string(text)
			}
		}
	}
	return files
}

var indentedCommand = regexp.MustCompile(`(?m)^(?: {4}|\t)(?:\$ |sudo |go |git |curl |usher |kill |make |scripts/|\./).*$`)

// notTold returns what is wrong with stories of pages: tests has the file of each test.
func notTold(pages map[string]string, stories map[string]map[string]blockStories, tests map[string]string) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for page := range stories {
		if _, there := pages[page]; !there {
			say("%s has stories, and is not there", page)
		}
	}
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		if diff := untold(fencedBlocks(pages[page]), stories[page]); diff != "" {
			say("blocks of %s, -those that are run +those there are; have a story run the new ones, and say which in pageStories:\n%s", page, diff)
		}
		outside := regexp.MustCompile("(?ms)^```.*?^```$").ReplaceAllString(pages[page], "")
		for _, line := range indentedCommand.FindAllString(outside, -1) {
			say("%s has a command that is in no fenced block, so that nobody knows whether it is run: %s", page, line)
		}
		for name, b := range stories[page] {
			if (len(b.by) == 0) == (b.not == "") {
				say("%s, %s: either a story or a reason", page, name)
			}
			for _, test := range b.by {
				if file, there := tests[test]; !there {
					say("%s, %s: there is no %s", page, name, test)
				} else if !strings.Contains(file, filepath.Base(page)) {
					say("%s, %s: where %s is, that page is not named", page, name, test)
				}
			}
		}
	}
	return wrong
}

// What TestPagesAreTold looks for is found.
func TestUntoldIsFound(t *testing.T) {
	const page, block = "docs/a.md", "## Start\n\n```sh\nusher serve\n```\n"
	told := map[string]blockStories{"sh Start": runBy(1, "TestA")}
	for _, test := range []struct {
		name, text string
		stories    map[string]blockStories
		file, want string
	}{
		{"told", block, told, "a.md", ""},
		{"a drawing", block + "## Picture\n```mermaid\na --> b\n```\n", told, "a.md", ""},
		{"no story", block, nil, "a.md", `"sh Start": 1`},
		{"one more block", block + block, told, "a.md", `"sh Start": 2`},
		{"another heading", "## Begin\n" + block[len("## Start\n"):], told, "a.md", `"sh Begin": 1`},
		{"a block less", "## Start\n", told, "a.md", `"sh Start": 1`},
		{"an indented command", block + "\n    usher stop\n", told, "a.md", "usher stop"},
		{"indented, in a block", "## Start\n```sh\n    usher stop\n```\n", told, "a.md", ""},
		{"a story that is gone", block, map[string]blockStories{"sh Start": runBy(1, "TestB")}, "a.md", "no TestB"},
		{"a story of another page", block, told, "b.md", "not named"},
		{"a reason", block, map[string]blockStories{"sh Start": {blocks: 1, not: "it takes an hour"}}, "", ""},
		{"no reason", block, map[string]blockStories{"sh Start": {blocks: 1}}, "", "either"},
	} {
		wrong := notTold(map[string]string{page: test.text}, map[string]map[string]blockStories{page: test.stories}, map[string]string{"TestA": test.file})
		if text := strings.Join(wrong, "\n"); !strings.Contains(strings.ReplaceAll(text, "\u00a0", " "), test.want) || (text == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", test.name, text, test.want)
		}
	}
	if wrong := notTold(nil, map[string]map[string]blockStories{page: told}, nil); len(wrong) != 1 {
		t.Errorf("a page that is gone: %q", wrong)
	}
}
