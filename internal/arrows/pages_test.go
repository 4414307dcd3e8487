package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the repository.
const root = "../.."

// texts returns the pages and the Go files of the repository, by their paths, and
// the names of all its files without their folders.
func texts(t *testing.T) (found map[string]string, names map[string]bool) {
	t.Helper()
	found, names = make(map[string]string), make(map[string]bool)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "node_modules"}, entry.Name()) {
			return filepath.SkipDir
		}
		if names[entry.Name()] = true; entry.IsDir() || !slices.Contains([]string{".md", ".go"}, filepath.Ext(path)) {
			return nil
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path) // path begins with root
		found[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, names
}

var (
	link        = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading     = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fence       = regexp.MustCompile("(?ms)^```.*?^```$")
	sourceFile  = regexp.MustCompile(`[\w./-]*\w\.go\b`)
	codePath    = regexp.MustCompile("`((?:cmd|docs|fdpass|internal|ipc|master|scripts|testdata|worker)/[\\w./-]+)`")
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Whatever the pages link to is there, its headings too; and so is each file that
// a page or a comment names.
func TestPagesNameWhatIsThere(t *testing.T) {
	texts, names := texts(t)
	for name, text := range texts {
		if path.Ext(name) == ".md" {
			prose := fence.ReplaceAllString(text, "")
			for _, m := range link.FindAllStringSubmatch(prose, -1) {
				if wrong := follow(texts, name, m[1]); wrong != "" {
					t.Errorf("%s links to %s: %s", name, m[1], wrong)
				}
			}
			for _, m := range codePath.FindAllStringSubmatch(prose, -1) {
				if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
					t.Errorf("%s names %s, which is not there", name, m[1])
				}
			}
		}
		for _, file := range sourceFile.FindAllString(comments(name, text), -1) {
			if strings.HasPrefix(file, "runtime/") || strings.HasPrefix(file, "../") || strings.HasPrefix(path.Base(file), "_") {
				continue // of Go itself, a link, or the rest of a pattern
			}
			if !names[path.Base(file)] {
				t.Errorf("%s names %s, which is not there", name, file)
				continue
			}
			first, _, inFolder := strings.Cut(file, "/")
			if _, err := os.Stat(filepath.Join(root, first)); inFolder && err == nil {
				if _, err := os.Stat(filepath.Join(root, file)); err != nil {
					t.Errorf("%s names %s, which is not there", name, file)
				}
			}
		}
	}
}

// follow says what is wrong with a link of a page.
func follow(texts map[string]string, page, target string) string {
	if strings.Contains(target, "://") {
		return ""
	}
	file, anchor, hasAnchor := strings.Cut(target, "#")
	to := page
	if file != "" {
		to = path.Join(path.Dir(page), file)
	}
	if _, err := os.Stat(filepath.Join(root, to)); err != nil {
		return "it is not there"
	}
	if !hasAnchor {
		return ""
	}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(texts[to], ""), -1) {
		if anchor == strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") {
			return ""
		}
	}
	return "no heading has that name"
}

// A link to what is not there is found.
func TestWrongLinksAreFound(t *testing.T) {
	pages := map[string]string{
		"README.md":           "# Usher\n\n## Quick start\n\n```sh\n# no heading\n```\n\n### `usher bench`, and its \"parts\"\n",
		"docs/performance.md": "# Performance\n",
	}
	tests := []struct {
		name, page, target string
		good               bool
	}{
		{"a file", "README.md", "docs/performance.md", true},
		{"a folder", "README.md", "docs", true},
		{"up from a folder", "docs/performance.md", "../README.md", true},
		{"not from that folder", "docs/performance.md", "README.md", false},
		{"a file that is not there", "README.md", "docs/speed.md", false},
		{"a heading", "README.md", "#quick-start", true},
		{"of another page", "docs/performance.md", "../README.md#quick-start", true},
		{"with punctuation", "README.md", "#usher-bench-and-its-parts", true},
		{"a heading that is not there", "README.md", "#slow-start", false},
		{"that another page has", "docs/performance.md", "#quick-start", false},
		{"in capitals", "README.md", "#Quick-start", false},
		{"in a block", "README.md", "#no-heading", false},
		{"elsewhere", "README.md", "https://example.org/#nothing", true}, // nobody asks there
	}
	for _, test := range tests {
		if wrong := follow(pages, test.page, test.target); (wrong == "") != test.good {
			t.Errorf("%s: %s links to %s: %q", test.name, test.page, test.target, wrong)
		}
	}
	found := link.FindAllStringSubmatch("[a](b.md), [c](d.md#e) and ![f](g.svg)", -1)
	if len(found) != 3 || found[1][1] != "d.md#e" {
		t.Errorf("links: %q", found)
	}
}

// comments returns a page as it is, and of a Go file the comments at the ends of
// lines and on their own.
func comments(name, text string) string {
	if path.Ext(name) != ".go" {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		if _, comment, ok := strings.Cut(line, "// "); ok {
			out.WriteString(comment)
		}
	}
	return out.String()
}

// The README has at most six figures, each with the command that repeats it; they
// are those of docs/performance.md and docs/guarantees.md.
func TestFiguresOfReadme(t *testing.T) {
	texts, _ := texts(t)
	_, speed, _ := strings.Cut(texts["README.md"], "\n## Speed\n")
	speed, _, _ = strings.Cut(speed, "\n## ")
	rows := regexp.MustCompile("(?m)^\\| (.+) \\| (.*\\d.*) \\| `(.+)` \\|$").FindAllStringSubmatch(speed, -1)
	if len(rows) == 0 || len(rows) > 6 {
		t.Fatalf("%d figures", len(rows))
	}
	measured := texts["docs/performance.md"] + texts["docs/guarantees.md"]
	number := regexp.MustCompile(`\d[\d.,]*`)
	for _, row := range rows {
		for _, figure := range number.FindAllString(row[2], -1) {
			if figure = strings.TrimRight(figure, ".,"); !strings.Contains(measured, figure) {
				t.Errorf("%s: neither page has %s", row[1], figure)
			}
		}
		if script, _, _ := strings.Cut(row[3], " "); !strings.HasPrefix(script, "scripts/") {
			t.Errorf("%s: by %q", row[1], row[3])
		} else if _, err := os.Stat(filepath.Join(root, script)); err != nil {
			t.Errorf("%s: %v", row[1], err)
		}
	}
}

// The command beside a figure repeats it: what it is to run is there.
func TestCommandsOfFigures(t *testing.T) {
	texts, _ := texts(t)
	commands := regexp.MustCompile("(?m)\\| `((?:go test|scripts/)[^`]+)` \\|$").FindAllStringSubmatch(texts["docs/performance.md"]+texts["docs/guarantees.md"]+texts["README.md"], -1)
	if len(commands) < 20 {
		t.Fatalf("%d commands", len(commands))
	}
	for _, m := range commands {
		words := strings.Fields(m[1])
		var folder, begins string
		switch words[0] {
		case "scripts/prove":
			folder, begins = "cmd/usher", "\nfunc "+words[1]
		case "scripts/bench":
			folder, begins = "testdata/bench", "\n\t{\""+words[1]+"\", "
		default: // go test -bench NAME -benchmem ./FOLDER
			folder, begins = strings.TrimPrefix(words[len(words)-1], "./"), "\nfunc Benchmark"+words[3]
		}
		found := false
		for name, text := range texts {
			found = found || path.Dir(name) == folder && strings.Contains(text, begins)
		}
		if !found {
			t.Errorf("%s: nothing in %s has %q", m[1], folder, strings.TrimSpace(begins))
		}
	}
}
