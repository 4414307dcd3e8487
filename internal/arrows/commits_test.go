package main

import (
	"fmt"
	"maps"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// A commit, as the pages name one: in words, or in a cell of its own.
	namedCommit = regexp.MustCompile("\\b(?:[Cc]ommit |[Aa]t )`?([0-9a-f]{7,40})\\b|\\| ([0-9a-f]{7,40}) \\|")
	// A table of figures: a column of it has what was measured, or what was so after a change.
	figures = regexp.MustCompile(`(?m)^\|(?: [^|\n]+ \|)* (?:measured[^|\n]*|after) \|`)
)

// Figures name the commit that they were measured at, so that they can be measured again
// beside what there is now.
func TestFiguresNameTheirCommit(t *testing.T) {
	texts, _ := texts(t)
	tables := 0
	for name, text := range texts {
		if path.Ext(name) == ".md" {
			tables += len(figures.FindAllString(text, -1))
			for _, section := range unnamed(text) {
				t.Errorf("%s, %s: there are figures, and no commit that they are of", name, section)
			}
		}
	}
	if tables < 8 {
		t.Errorf("%d tables of figures", tables)
	}
}

// unnamed returns the headings of a page's sections in which figures name no commit.
func unnamed(page string) (sections []string) {
	for _, section := range strings.Split("\n"+page, "\n## ") {
		if figures.MatchString(section) && !namedCommit.MatchString(section) {
			heading, _, _ := strings.Cut(section, "\n")
			sections = append(sections, heading)
		}
	}
	return sections
}

func TestUnnamedFiguresAreFound(t *testing.T) {
	const table = "\n| what | measured | command |\n|---|---|---|\n| a | 1 | b |\n"
	tests := []struct {
		name, page string
		want       []string
	}{
		{"named", "# P\n\n## A\nOf commit 0123abc.\n" + table, nil},
		{"at a commit", "## A\nMeasured at 0123abc, on two cores.\n" + table, nil},
		{"in a cell", "## A\n| what | before | after | at |\n|---|---|---|---|\n| a | 2 | 1 | 0123abc |\n", nil},
		{"no figures", "## A\n| setting | default |\n", nil},
		{"none", "# P\n\n## A\n" + table, []string{"A"}},
		{"after, and none", "## A\n| what | before | after | why |\n", []string{"A"}},
		{"a word before it", "## A\n| x | aim | measured: the median |\n", []string{"A"}},
		{"in another section", "## A\nOf commit 0123abc.\n" + table + "\n## B\n" + table, []string{"B"}},
		{"at the beginning", "## A\nAt commit 0123abc:\n" + table, nil},
		{"a number", "## A\nOf 10000000 connections.\n" + table, []string{"A"}},
		{"a short one", "## A\nOf commit 0123.\n" + table, []string{"A"}},
	}
	for _, test := range tests {
		if got := unnamed(test.page); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// Each commit that a page names is in the history.
func TestNamedCommitsAreThere(t *testing.T) {
	if shallow, err := git("rev-parse", "--is-shallow-repository"); err != nil {
		t.Skipf("not a checkout of git: %v", err)
	} else if shallow != "false" {
		t.Skip("the checkout is shallow: it has a part of the history")
	}
	texts, _ := texts(t)
	commits := make(map[string]string)
	for name, text := range texts {
		if path.Ext(name) == ".md" {
			for _, commit := range commitsOf(text) {
				commits[commit] = name
			}
		}
	}
	if len(commits) < 5 {
		t.Errorf("%d commits are named", len(commits))
	}
	var missing []string
	for _, commit := range slices.Sorted(maps.Keys(commits)) {
		if err := inHistory(commit); err != nil {
			missing = append(missing, fmt.Sprintf("%s: commit %s: %v", commits[commit], commit, err))
		}
	}
	if len(missing) == len(commits) {
		t.Skip("none of the commits that the pages name is there: this is a copy without the history")
	}
	for _, what := range missing {
		t.Error(what)
	}
	if err := inHistory("0123456789"); err == nil {
		t.Error("a commit that nobody has made is there")
	}
}

// commitsOf returns the commits that a page names.
func commitsOf(page string) (commits []string) {
	for _, m := range namedCommit.FindAllStringSubmatch(page, -1) {
		commits = append(commits, m[1]+m[2])
	}
	return commits
}

// inHistory says why a commit is not one that led to this tree.
func inHistory(commit string) error {
	if _, err := git("cat-file", "-e", commit+"^{commit}"); err != nil {
		return fmt.Errorf("it is not there: %w", err)
	}
	if _, err := git("merge-base", "--is-ancestor", commit, "HEAD"); err != nil {
		return fmt.Errorf("it did not lead to this tree: %w", err)
	}
	return nil
}

func git(args ...string) (string, error) {
	out, err := exec.Command("git", append([]string{"-C", root}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}
