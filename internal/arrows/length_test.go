package main

import (
	"path"
	"strings"
	"testing"
)

// No file of the product has more than 400 lines: one noun a file.
func TestFilesAreShort(t *testing.T) {
	const most = 400
	texts, _ := texts(t)
	for name, text := range texts {
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata/") {
			continue
		}
		if n := strings.Count(text, "\n"); n > most {
			t.Errorf("%s has %d lines, more than %d", name, n, most)
		}
	}
}
