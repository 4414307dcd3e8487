package manual

import (
	"fmt"
	"strings"
	"unicode"
)

// Roff returns blocks in the macros of man(7), to stand behind a line ".SH NAME" or the
// like. Headings become those of subsections.
func Roff(blocks []Block) string {
	var b strings.Builder
	for _, block := range blocks {
		switch block.Kind {
		case Heading:
			b.WriteString(".SS " + Line(block.Text) + "\n")
		case Paragraph:
			b.WriteString(".PP\n" + Line(block.Text) + "\n")
		case Item:
			term := `\(bu`
			if block.Term != "" {
				term = block.Term
			}
			b.WriteString(".IP " + term + " 4\n" + Line(block.Text) + "\n")
		case Row:
			b.WriteString(".TP\n" + Line(block.Term) + "\n")
			if block.Text == "" {
				b.WriteString(".br\n") // a term that nothing follows
				continue
			}
			b.WriteString(Line(block.Text) + "\n")
		case Code:
			b.WriteString(".PP\n.in +4n\n.nf\n" + guard(escape(strings.TrimRight(block.Text, "\n"))) + "\n.fi\n.in\n")
		}
	}
	return b.String()
}

// Line returns a line of a page for roff: code is bold, what is emphasised in italics.
func Line(text string) string {
	text = linked.ReplaceAllString(text, "$1")
	var b strings.Builder
	for text != "" {
		at := span.FindStringSubmatchIndex(text)
		if at == nil {
			break
		}
		b.WriteString(escape(text[:at[0]]))
		font, inside := `\fI`, ""
		for group := 1; group <= 3; group++ {
			if from := at[2*group]; from >= 0 {
				inside = text[from:at[2*group+1]]
				if group < 3 {
					font = `\fB`
				}
			}
		}
		b.WriteString(font + escape(inside) + `\fR`)
		text = text[at[1]:]
	}
	return guard(b.String() + escape(text))
}

// escape has roff take text as it is: a backslash, a hyphen that is to be copied, what is
// beyond ASCII, and a line that begins as a request does, but for the first, which may
// stand behind something: see guard.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r > unicode.MaxASCII:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	text = b.String()
	lines := strings.Split(text, "\n")
	for i := 1; i < len(lines); i++ {
		lines[i] = guard(lines[i])
	}
	return strings.Join(lines, "\n")
}

// guard has a line be no request.
func guard(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}
