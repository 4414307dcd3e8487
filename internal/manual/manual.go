// Package manual shows sections of the project's pages where there is no browser: in a
// terminal, and in a manual page for man(1). So both say the same words as the pages, and
// need no care of their own.
//
//	page (Markdown) ──Section──► blocks ──► Text: a terminal's, in lines of some width
//	                                   └──► Roff: man(7)'s macros
//
// It reads what the pages use, and no more: headings, paragraphs, lists, tables, fenced and
// indented code; links, code and emphasis within a line. What it does not know it passes on
// as it is.
package manual

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrNoSection: a page has no section of that name.
var ErrNoSection = errors.New("no such section")

// Block is a part of a section.
type Block struct {
	Kind Kind
	// Text is what it says, on one line unless it is Code. Of a Row it is what stands behind
	// the first cell that is not empty.
	Text string
	// Term is that cell; of an Item its number, or empty.
	Term string
}

// Kind is what a block is.
type Kind uint8

// The kinds of blocks.
const (
	Heading Kind = iota
	Paragraph
	Item // of a list
	Row  // of a table
	Code
)

// Section returns what a page says under a heading of any level, up to the next one of that
// level or above. An empty heading is the whole page. Errors: ErrNoSection.
func Section(page, heading string) ([]Block, error) {
	lines := strings.Split(page, "\n")
	if heading == "" {
		return blocks(lines), nil
	}
	begin, level, fenced := -1, 0, false
	for i, line := range lines {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		title, depth := headingOf(line)
		switch {
		case fenced || depth == 0:
		case begin < 0 && title == heading:
			begin, level = i+1, depth
		case begin >= 0 && depth <= level:
			return blocks(lines[begin:i]), nil
		}
	}
	if begin < 0 {
		return nil, fmt.Errorf("%w: %q", ErrNoSection, heading)
	}
	return blocks(lines[begin:]), nil
}

// headingOf returns a heading's text and level; 0: the line is none.
func headingOf(line string) (title string, level int) {
	rest := strings.TrimLeft(line, "#")
	level = len(line) - len(rest)
	if level == 0 || !strings.HasPrefix(rest, " ") {
		return "", 0
	}
	return strings.TrimSpace(rest), level
}

var (
	listItem = regexp.MustCompile(`^(?:[-*]|(\d+\.)) +(.*)$`)
	comment  = regexp.MustCompile(`^<!--.*-->$`)
	ruler    = regexp.MustCompile(`^\|[-:| ]+\|$`)
)

// blocks divides lines.
func blocks(lines []string) (all []Block) {
	open := false // the last block goes on with the next line
	add := func(b Block) { all, open = append(all, b), b.Kind == Paragraph || b.Kind == Item }
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		title, level := headingOf(line)
		item := listItem.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "```"):
			end := i + 1
			for end < len(lines) && !strings.HasPrefix(lines[end], "```") {
				end++
			}
			add(Block{Kind: Code, Text: strings.Join(lines[i+1:min(end, len(lines))], "\n")})
			i = end
		case strings.TrimSpace(line) == "" || comment.MatchString(line):
			open = false
		case strings.HasPrefix(line, "    ") && !open:
			end := i
			for end < len(lines) && strings.HasPrefix(lines[end], "    ") {
				end++
			}
			add(Block{Kind: Code, Text: strings.ReplaceAll(strings.Join(lines[i:end], "\n"), "\n    ", "\n")[4:]})
			i = end - 1
		case level > 0:
			add(Block{Kind: Heading, Text: title})
		case strings.HasPrefix(line, "|"):
			if i+1 < len(lines) && ruler.MatchString(lines[i+1]) {
				i++ // what the columns are called goes without saying once they are no columns
				open = false
				continue
			}
			add(row(line))
		case item != nil:
			add(Block{Kind: Item, Term: item[1], Text: item[2]})
		case open:
			all[len(all)-1].Text += " " + strings.TrimSpace(line)
		default:
			add(Block{Kind: Paragraph, Text: strings.TrimSpace(line)})
		}
	}
	return all
}

// row reads a row of a table.
func row(line string) Block {
	const escaped = "\x00"
	line = strings.ReplaceAll(strings.Trim(line, "| "), `\|`, escaped)
	b := Block{Kind: Row}
	var rest []string
	for cell := range strings.SplitSeq(line, "|") {
		cell = strings.ReplaceAll(strings.TrimSpace(cell), escaped, "|")
		switch {
		case cell == "":
		case b.Term == "":
			b.Term = cell
		default:
			rest = append(rest, cell)
		}
	}
	b.Text = strings.ReplaceAll(strings.Join(rest, ": "), ".: ", ": ") // a cell may be a sentence
	return b
}
