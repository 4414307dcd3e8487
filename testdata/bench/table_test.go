package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The page as it is in the repository can be written, any number of times, and
// keeps what stands around the marks.
func TestWritePage(t *testing.T) {
	for _, c := range chapters {
		t.Run(c.mark, func(t *testing.T) { writeTwice(t, c.mark) })
	}
}

func writeTwice(t *testing.T, who string) {
	page, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(page), beginMark(who))
	_, after, _ := strings.Cut(rest, endMark)
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, page, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first\n", "second\n"} {
		if err := writePage(path, who, text); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := before + beginMark(who) + text + endMark + after; string(got) != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	}
}

func TestWritePageWithoutMarks(t *testing.T) {
	for _, page := range []string{"", beginMark("x"), endMark, endMark + beginMark("x"), beginMark("y") + endMark} {
		path := filepath.Join(t.TempDir(), "page.md")
		if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := writePage(path, "x", "text"); err == nil {
			t.Errorf("%q was written", page)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != page {
			t.Errorf("the page is %q (%v), was %q", got, err, page)
		}
	}
}
