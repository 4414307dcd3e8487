package main

import (
	"io"
	"strings"
	"unicode"
)

// What workers write and connections say is other people's: on a terminal it could act as the
// terminal's own sequences do (ECMA-48), and show what is not so. Whatever a command prints
// for people goes through these.

// printable returns a text of another process without what would act on a terminal, or break
// a table's line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// printableLines is printable for a text of lines: it leaves line feeds and tabs.
func printableLines(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' || r == '\t' {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// printableWriter writes what printableLines leaves. No write may end within a character.
type printableWriter struct{ to io.Writer }

func (w printableWriter) Write(text []byte) (int, error) {
	if _, err := io.WriteString(w.to, printableLines(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}
