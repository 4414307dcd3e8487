package manual

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const page = "# Page\n\nFor whom.\n\n## One\n\nA `b` of\n[c](d.md#e).\n\n- first\n  goes on\n- second\n1. third\n\n```sh\n# no heading\nrun it\n```\n\n" +
	"### Within\n\n| a | b | c |\n|---|---|---|\n| `x` | y | z \\| z |\n| | only | |\n<!-- comment -->\n\n## Two\n\n    indented\n      more\n\nend\n"

func TestSection(t *testing.T) {
	tests := []struct {
		name, heading string
		want          []Block
	}{
		{"to the next of its level", "One", []Block{
			{Paragraph, "A `b` of [c](d.md#e).", ""},
			{Item, "first goes on", ""}, {Item, "second", ""}, {Item, "third", "1."},
			{Code, "# no heading\nrun it", ""},
			{Heading, "Within", ""}, {Row, "y: z | z", "`x`"}, {Row, "", "only"},
		}},
		{"to the next above", "Within", []Block{{Row, "y: z | z", "`x`"}, {Row, "", "only"}}},
		{"to the end", "Two", []Block{{Code, "indented\n  more", ""}, {Paragraph, "end", ""}}},
	}
	for _, test := range tests {
		got, err := Section(page, test.heading)
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, -want +got:\n%s", test.name, err, diff)
		}
	}
	if _, err := Section(page, "no heading"); !errors.Is(err, ErrNoSection) {
		t.Errorf("a comment of a script is a heading: %v", err)
	}
	if whole, err := Section(page, ""); err != nil || len(whole) != 14 || whole[0].Kind != Heading {
		t.Errorf("the page has %d blocks, %v: %v", len(whole), err, whole)
	}
}

func TestText(t *testing.T) {
	one, err := Section(page, "One")
	if err != nil {
		t.Fatal(err)
	}
	want := "A b of c.\n\n- first goes on\n- second\n1. third\n\n    # no heading\n    run it\n\nWITHIN\n\nx\n    y: z | z\n\nonly\n"
	if diff := cmp.Diff(want, Text(one, 80)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, width := range []int{-1, 20, 33} {
		for line := range strings.Lines(Text([]Block{{Kind: Item, Text: strings.Repeat("word ", 50)}}, width)) {
			if n := len(strings.TrimSuffix(line, "\n")); n > max(width, 20) {
				t.Errorf("a line of %d characters at width %d: %q", n, width, line)
			}
		}
	}
}

// What roff would take for its own comes out as it is.
func TestRoff(t *testing.T) {
	got := Roff([]Block{
		{Paragraph, "'a `--b` *c* **d** \\ …", ""}, {Item, "e", "1."}, {Item, "f", ""}, {Row, "", "g"}, {Row, ".h", "`.i`"}, {Code, "j\n.k\n", ""}, {Code, ".m\n", ""}, {Heading, "l", ""},
	})
	want := ".PP\n\\&'a \\fB\\-\\-b\\fR \\fIc\\fR \\fBd\\fR \\e \\[u2026]\n.IP 1. 4\ne\n.IP \\(bu 4\nf\n.TP\ng\n.br\n.TP\n\\fB.i\\fR\n\\&.h\n" +
		".PP\n.in +4n\n.nf\nj\n\\&.k\n.fi\n.in\n.PP\n.in +4n\n.nf\n\\&.m\n.fi\n.in\n.SS l\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A cell that is a sentence goes on in the next one without its full stop.
func TestRowOfSentences(t *testing.T) {
	const page = "## Alerts\n\n| a | b | c |\n|---|---|---|\n| `x` | It hangs. | Look at it. |\n"
	want := []Block{{Row, "It hangs: Look at it.", "`x`"}}
	got, err := Section(page, "Alerts")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}
