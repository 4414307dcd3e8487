package pagetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a test that goes on when it has failed.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}

// part runs Part on a page, and returns what it said and the page after it.
func part(t *testing.T, page, want string, update bool) (said, after string) {
	t.Helper()
	return on(t, page, func(r *recorder, path string) { Part(r, path, "life", want, update) })
}

// on has a page judged, and returns what was said and the page after it.
func on(t *testing.T, page string, judge func(r *recorder, path string)) (said, after string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &recorder{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil && p != any(r) {
				panic(p)
			}
		}()
		judge(r, path)
	}()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(r.said, "\n"), string(text)
}

func TestPart(t *testing.T) {
	const begin, end = "before\n<!-- life: written by -->\n", "<!-- /life -->\nafter\n"
	tests := []struct {
		name, page string
		update     bool
		says       string
		after      string
	}{
		{"in step", begin + "new\n" + end, false, "", begin + "new\n" + end},
		{"out of step", begin + "same\nold\n" + end, false, "-update", begin + "same\nold\n" + end},
		{"update", begin + "old\n" + end, true, "", begin + "new\n" + end},
		{"no begin", "before\n" + end, true, "no part life", "before\n" + end},
		{"no end", begin + "old\n", true, "no end", begin + "old\n"},
	}
	for _, test := range tests {
		said, after := part(t, test.page, "new\n", test.update)
		if !strings.Contains(said, test.says) || (said == "") != (test.says == "") || after != test.after {
			t.Errorf("%s: said %q, want %q; the page is %q, want %q", test.name, said, test.says, after, test.after)
		}
	}
}

// What differs is shown, and no more.
func TestPartShowsWhatDiffers(t *testing.T) {
	said, _ := part(t, "<!-- life: -->\nsame\nold\n<!-- /life -->\n", "same\nnew\n", false)
	if !strings.HasSuffix(said, ":\n-old\n+new\n") {
		t.Errorf("said %q", said)
	}
}

// What varies is not compared, and is written only with something else.
func TestPartLike(t *testing.T) {
	const begin, end = "<!-- life: -->\n", "<!-- /life -->\n"
	settle := func(text string) string {
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return '0'
			}
			return r
		}, text)
	}
	tests := []struct {
		name, part string
		update     bool
		says       string
		after      string
	}{
		{"another number", "pid 1\n", false, "", "pid 1\n"},
		{"another number, update", "pid 1\n", true, "", "pid 1\n"},
		{"another word", "pip 1\n", false, "-pip 0\n+pid 0\n", "pip 1\n"},
		{"another word, update", "pip 1\n", true, "", "pid 2\n"},
	}
	for _, test := range tests {
		said, after := on(t, begin+test.part+end, func(r *recorder, path string) { PartLike(r, path, "life", "pid 2\n", test.update, settle) })
		if !strings.HasSuffix(said, test.says) || (said == "") != (test.says == "") || after != begin+test.after+end {
			t.Errorf("%s: said %q, want %q; the page is %q, want the part %q", test.name, said, test.says, after, test.after)
		}
	}
}

func TestStates(t *testing.T) {
	got := States([]Step{{"a", "go", "in b"}, {"in b", "back", "a"}, {"a", "jump", "in b"}})
	want := "```mermaid\nstateDiagram-v2\n    state \"in b\" as in_b\n    a --> in_b: go, jump\n    in_b --> a: back\n```\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
