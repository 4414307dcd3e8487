package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/usher-go/usher/docs"
	"github.com/usher-go/usher/internal/manual"
	"golang.org/x/sys/unix"
)

type helpCommand struct {
	Topic string `arg:"" optional:"" complete:"topics" help:"What to explain: a topic, a setting or a command; without it the topics are listed."`
}

// Help is what usher help --help adds.
func (helpCommand) Help() string {
	return `Examples:

  usher help reload
  usher help drain-timeout
  usher help status
  usher help bench http`
}

// topic is a part of the pages that usher help prints.
type topic struct {
	name    string
	page    string // in docs
	heading string // empty: the whole page
	help    string
}

// topics are all but the settings, each of which is one, too.
var topics = []topic{
	{"signals", "operations.md", "Signals", "what each signal to the master does"},
	{"commands", "operations.md", "Commands", "what each command does, and when it returns"},
	{"reload", "operations.md", "Deploy", "deploying a new program or configuration"},
	{"upgrade", "operations.md", "Upgrade", "replacing the master itself"},
	{"logs", "operations.md", "Logs", "where the log goes, and how it is rotated"},
	{"systemd", "operations.md", "Under systemd", "units, and what systemctl shows"},
	{"metrics", "operations.md", "Metrics", "what Prometheus reads, and alerts"},
	{"limits", "operations.md", "Limits", "what bounds the number of connections"},
	{"trouble", "operations.md", "When something is wrong", "what one sees, and what to do"},
	{"exit-status", "operations.md", "Exit status", "what the exit status of serve says"},
	{"control", "control.md", "", "asking a running server by HTTP, for programs"},
	{"workers", "workers.md", "", "writing a worker in Go"},
	{"web", "web.md", "", "serving HTTP"},
	{"languages", "other-languages.md", "", "writing a worker in Python, C and others"},
	{"embedding", "embedding.md", "", "a master in a program of your own"},
	{"tls", "tls.md", "", "certificates, session tickets, PROXY headers"},
	{"promises", "guarantees.md", "Promises", "what is promised, and what is not"},
}

// Run prints the topic, or which there are.
func (c *helpCommand) Run(parser *kong.Kong) error {
	if c.Topic == "" {
		_, err := fmt.Print(topicList())
		return err
	}
	blocks, err := explain(c.Topic)
	if err != nil {
		return usageError{err}
	}
	text := manual.Text(blocks, terminalWidth())
	if findCommand(parser.Model.Node, []string{c.Topic}) != nil {
		text += fmt.Sprintf("\nThe flags of the command: usher %s --help\n", c.Topic)
	}
	_, err = fmt.Print(text)
	return err
}

// commandHelp makes usher help COMMAND what it means, usher COMMAND --help. What is a topic
// or a setting besides is explained as that.
func commandHelp(root *kong.Node, args []string) []string {
	if len(args) < 2 || args[0] != "help" {
		return args
	}
	if _, err := explain(args[1]); err == nil && len(args) == 2 {
		return args
	}
	if findCommand(root, args[1:]) == nil {
		return args
	}
	return append(slices.Clone(args[1:]), "--help")
}

// findCommand returns the command that words name, if it is not hidden, or nil.
func findCommand(node *kong.Node, words []string) *kong.Node {
	if len(words) == 0 {
		return node
	}
	for _, child := range node.Children {
		if child.Name == words[0] && !child.Hidden {
			return findCommand(child, words[1:])
		}
	}
	return nil
}

// explain returns what the pages say about a topic or a setting; of a name that is both,
// with dashes, the setting.
func explain(name string) ([]manual.Block, error) {
	for _, t := range topics {
		if t.name == name {
			return section(t.page, t.heading)
		}
	}
	if key := strings.TrimPrefix(name, "--"); lookUp(key) != nil {
		return section("configuration.md", key)
	}
	return nil, fmt.Errorf("no help about %q; usher help lists what there is", name)
}

// section returns a section of a page in docs.
func section(page, heading string) ([]manual.Block, error) {
	text, err := docs.Pages.ReadFile(page)
	if err != nil {
		return nil, err
	}
	return manual.Section(string(text), heading)
}

// topicList is what usher help prints without a topic.
func topicList() string {
	var b strings.Builder
	b.WriteString("usher COMMAND --help, or usher help COMMAND, has the flags of a command.\nusher help TOPIC explains\n\n")
	for _, t := range topics {
		fmt.Fprintf(&b, "  %-12s %s\n", t.name, t.help)
	}
	b.WriteString("\nand usher help SETTING a setting of usher serve, such as drain-timeout:\n\n")
	var keys []string
	for i := range settings {
		keys = append(keys, settings[i].key)
	}
	slices.Sort(keys)
	b.WriteString(manual.Text([]manual.Block{{Kind: manual.Paragraph, Text: strings.Join(keys, " ")}}, terminalWidth()))
	return b.String()
}

// The widths of help, in characters: where the terminal says nothing, and at most, since
// longer lines are hard to read.
const (
	plainWidth = 80
	mostWidth  = 100
)

// terminalWidth is how many characters a line of standard output has.
func terminalWidth() int {
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return min(n, mostWidth)
	}
	size, err := unix.IoctlGetWinsize(int(os.Stdout.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return plainWidth // it is no terminal
	}
	return min(int(size.Col), mostWidth)
}
