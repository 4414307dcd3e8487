// Package pagetest keeps those parts of a page in step that are made from the
// code, such as a drawing of a table of states.
//
// A part stands between two lines of the page, of which the first says how it is
// written:
//
//	<!-- life: go test ./master -run TestLifeDrawn -update writes this -->
//	<!-- /life -->
package pagetest

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Part compares the part of a page that has a name with want, or with update
// writes it into the page.
func Part(t testing.TB, page, name, want string, update bool) {
	t.Helper()
	PartLike(t, page, name, want, update, func(text string) string { return text })
}

// PartLike is Part for a part in which something varies: settle returns a text without
// that, and two texts are the same if what it returns of them is. What is the same is not
// written anew.
func PartLike(t testing.TB, page, name, want string, update bool, settle func(text string) string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin := regexp.MustCompile(`(?m)^<!-- ` + regexp.QuoteMeta(name) + `: .*-->\n`).FindIndex(text)
	if begin == nil {
		t.Fatalf("%s has no part %s", page, name)
	}
	before, rest := string(text[:begin[1]]), string(text[begin[1]:])
	got, _, closed := strings.Cut(rest, "<!-- /"+name+" -->\n")
	switch is, should := settle(got), settle(want); {
	case !closed:
		t.Fatalf("%s: the part %s has no end", page, name)
	case is == should:
	case update:
		if err := os.WriteFile(page, []byte(before+want+rest[len(got):]), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s, part %s (-update writes it), -is +want, in whatever order:\n%s%s", page, name, without("-", is, should), without("+", should, is))
	}
}

// without returns the lines of a that b has not, each after a mark.
func without(mark, a, b string) string {
	have := make(map[string]bool)
	for line := range strings.Lines(b) {
		have[line] = true
	}
	var out strings.Builder
	for line := range strings.Lines(a) {
		if !have[line] {
			out.WriteString(mark + line)
		}
	}
	return out.String()
}

// Step is an arrow of a drawing: upon an event, one state becomes another.
type Step struct{ From, Event, To string }

// States draws steps as a state diagram of Mermaid, which GitHub shows as a
// picture. Events between the same two states share an arrow.
func States(steps []Step) string {
	type pair struct{ from, to string }
	var pairs []pair
	var names []string
	events := make(map[pair][]string)
	seen := make(map[string]bool)
	for _, s := range steps {
		p := pair{s.From, s.To}
		if events[p] == nil {
			pairs = append(pairs, p)
		}
		events[p] = append(events[p], s.Event)
		for _, name := range []string{s.From, s.To} {
			if !seen[name] {
				names, seen[name] = append(names, name), true
			}
		}
	}
	var out strings.Builder
	out.WriteString("```mermaid\nstateDiagram-v2\n")
	id := func(name string) string { return strings.ReplaceAll(name, " ", "_") }
	for _, name := range names {
		if id(name) != name {
			fmt.Fprintf(&out, "    state %q as %s\n", name, id(name))
		}
	}
	for _, p := range pairs {
		fmt.Fprintf(&out, "    %s --> %s: %s\n", id(p.from), id(p.to), strings.Join(events[p], ", "))
	}
	out.WriteString("```\n")
	return out.String()
}
