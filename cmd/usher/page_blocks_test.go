package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pageBlocks returns the fenced blocks of a page of docs by kind and heading, such as
// "sh Quick start". There must be as many of each as the page's story uses.
func pageBlocks(t *testing.T, page string, want map[string]int) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	blocks, counts := make(map[string][]string), make(map[string]int)
	var heading, name, block string
	fenced := false
	for line := range strings.Lines(string(text)) {
		word, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !fenced:
			fenced, name, block = true, strings.TrimSpace(strings.TrimSpace(word)+" "+heading), ""
		case fence:
			fenced = false
			blocks[name] = append(blocks[name], block)
			counts[name]++
		case fenced:
			block += line
		case strings.HasPrefix(line, "## "):
			heading = strings.TrimSpace(line[len("## "):])
		}
	}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Fatalf("blocks of docs/%s, -those that are run +those there are; have a story run the new ones:\n%s", page, diff)
	}
	return blocks
}
