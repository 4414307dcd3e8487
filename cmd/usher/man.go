package main

import (
	"fmt"
	"strings"

	"github.com/usher-go/usher/internal/manual"
)

type manCommand struct{}

// manSections are the sections behind the synopsis that are parts of pages.
var manSections = []struct{ title, page, heading string }{
	{"COMMANDS", "operations.md", "Commands"},
	{"SIGNALS", "operations.md", "Signals"},
	{"DEPLOY", "operations.md", "Deploy"},
	{"UPGRADE", "operations.md", "Upgrade"},
	{"EXIT STATUS", "operations.md", "Exit status"},
	{"DIAGNOSTICS", "operations.md", "When something is wrong"},
}

// Run prints a manual page for man(1), in the macros of man(7).
func (manCommand) Run() error {
	page, err := manPage()
	if err != nil {
		return err
	}
	_, err = fmt.Print(page)
	return err
}

// manPage is made of the table of settings, and of the pages in docs.
func manPage() (string, error) {
	var b strings.Builder
	b.WriteString(`.TH USHER 1 "" "usher ` + version() + `" ""
.SH NAME
usher \- a prefork TCP server whose connections outlive its processes
.SH SYNOPSIS
.B usher serve
[\fIsettings\fR] [\-\- \fIprogram argument\fR ...]
.br
.B usher
\fIcommand\fR [\fIflags\fR]
.SH DESCRIPTION
One master accepts every connection and hands it, as a descriptor, to worker processes that can be
added, replaced and killed while it serves.
Without a program the workers run an app that is built in (\-\-app).
`)
	for _, s := range manSections {
		blocks, err := section(s.page, s.heading)
		if err != nil {
			return "", err
		}
		b.WriteString(".SH " + s.title + "\n" + manual.Roff(blocks))
	}
	b.WriteString(".SH SETTINGS\nEach is a flag of usher serve and usher check, a key of the configuration file, and an environment variable.\n")
	for i := range settings {
		blocks, err := section("configuration.md", settings[i].key)
		if err != nil {
			return "", err
		}
		// The term, and below it all that the page says, further in.
		b.WriteString(".TP\n" + manual.Line("`"+settings[i].synopsis()+"`") + "\n.RS\n" + strings.TrimPrefix(manual.Roff(blocks), ".PP\n") + ".RE\n")
	}
	b.WriteString(".SH SEE ALSO\nsystemd.service(5), capabilities(7), unix(7)\n")
	return b.String(), nil
}

// synopsis is how a setting is given on the command line.
func (s *setting) synopsis() string {
	if s.argument {
		return "-- " + s.key
	}
	if s.placeholder == "" {
		return "--" + s.key
	}
	return "--" + s.key + "=" + s.placeholder
}
