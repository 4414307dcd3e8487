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
		Part(r, path, "life", want, update)
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

func TestStates(t *testing.T) {
	got := States([]Step{{"a", "go", "in b"}, {"in b", "back", "a"}, {"a", "jump", "in b"}})
	want := "```mermaid\nstateDiagram-v2\n    state \"in b\" as in_b\n    a --> in_b: go, jump\n    in_b --> a: back\n```\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
