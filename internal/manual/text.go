package manual

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	linked   = regexp.MustCompile(`\[([^\]]+)\]\([^)]+\)`)
	span     = regexp.MustCompile("`([^`]+)`|\\*\\*([^*]+)\\*\\*|\\*([^*\\s][^*]*)\\*")
	indented = "    "
)

// Text returns blocks as plain text, in lines of at most so many characters where words
// allow; fewer than 20 are 20.
func Text(blocks []Block, width int) string {
	width = max(width, 20)
	var b strings.Builder
	last := Kind(Code)
	for i, block := range blocks {
		if i > 0 && (block.Kind != last || block.Kind == Paragraph || block.Kind == Row) {
			b.WriteByte('\n')
		}
		last = block.Kind
		switch block.Kind {
		case Heading:
			b.WriteString(strings.ToUpper(plain(block.Text)) + "\n")
		case Paragraph:
			wrap(&b, plain(block.Text), "", "", width)
		case Item:
			mark := "- "
			if block.Term != "" {
				mark = block.Term + " "
			}
			wrap(&b, plain(block.Text), mark, strings.Repeat(" ", len(mark)), width)
		case Row:
			wrap(&b, plain(block.Term), "", "", width)
			wrap(&b, plain(block.Text), indented, indented, width)
		case Code:
			b.WriteString(indented + strings.ReplaceAll(strings.TrimRight(block.Text, "\n"), "\n", "\n"+indented) + "\n")
		}
	}
	return b.String()
}

// plain takes what marks links, code and emphasis out of a line.
func plain(line string) string {
	return span.ReplaceAllString(linked.ReplaceAllString(line, "$1"), "$1$2$3")
}

// wrap writes words in lines, the first of which begins with first, and the others with
// later. Nothing is written of no words.
func wrap(b *strings.Builder, text, first, later string, width int) {
	used, begin := 0, first
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case used == 0:
			b.WriteString(begin)
			used = len(begin)
		case used+1+n > width:
			b.WriteString("\n" + later)
			used = len(later)
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	if used > 0 {
		b.WriteByte('\n')
	}
}
