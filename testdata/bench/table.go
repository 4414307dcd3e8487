package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// reach is a figure with what it should be.
type reach struct{ what, aim, measured string }

// grid is a table of servers and what was measured of each.
type grid struct {
	rows, columns []string
	cells         map[[2]string]string
}

func newGrid() *grid { return &grid{cells: make(map[[2]string]string)} }

func (g *grid) set(row, column, value string) {
	g.rows, g.columns = with(g.rows, row), with(g.columns, column)
	g.cells[[2]string{row, column}] = value
}

func with(names []string, name string) []string {
	for _, present := range names {
		if present == name {
			return names
		}
	}
	return append(names, name)
}

// tables are what a chapter has come to.
type tables struct {
	reach   []reach
	grid    *grid
	figures []string
}

func (b *bench) reached(what, aim, measured string) {
	b.reach = append(b.reach, reach{what, aim, measured})
	b.say("%s: %s (aim %s)", what, measured, aim)
}

func (b *bench) figure(format string, args ...any) {
	b.figures = append(b.figures, fmt.Sprintf(format, args...))
	b.say("%s", b.figures[len(b.figures)-1])
}

// markdown is the tables, as they stand in docs/performance.md, with ratios to reference.
func (b *bench) markdown(reference string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "On %s.\n", b.machine())
	if len(b.reach) > 0 {
		fmt.Fprintf(&out, "\n| usher to %s, or as it says | aim | measured: the median, and the range of the rounds |\n|---|---|---|\n", reference)
		for _, r := range b.reach {
			fmt.Fprintf(&out, "| %s | %s | %s |\n", r.what, r.aim, r.measured)
		}
	}
	if g := b.grid; len(g.rows) > 0 {
		fmt.Fprintf(&out, "\n| ratio to %s, or as a column says | %s |\n|---%s|\n", reference, strings.Join(g.columns, " | "), strings.Repeat("|---", len(g.columns)))
		for _, row := range g.rows {
			fmt.Fprintf(&out, "| %s |", row)
			for _, column := range g.columns {
				fmt.Fprintf(&out, " %s |", g.cells[[2]string{row, column}])
			}
			out.WriteByte('\n')
		}
	}
	if len(b.figures) > 0 {
		out.WriteByte('\n')
		for _, f := range b.figures {
			fmt.Fprintf(&out, "- %s\n", f)
		}
	}
	return out.String()
}

// The marks in docs/performance.md between which a table stands.
func beginMark(who string) string { return "<!-- " + who + " writes from here -->\n" }

const endMark = "<!-- to here -->\n"

// writePage puts text between the marks of the page at path that are who's.
func writePage(path, who, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(page), beginMark(who))
	_, after, closed := strings.Cut(rest, endMark)
	if !found || !closed {
		return fmt.Errorf("%s has no marks of %s to write between", path, who)
	}
	return os.WriteFile(path, []byte(before+beginMark(who)+text+endMark+after), 0o644)
}

func (b *bench) commit() string {
	out, err := exec.Command("git", "-C", b.source, "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
