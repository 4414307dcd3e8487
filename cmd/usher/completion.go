package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is what usher completion --help adds.
func (completionCommand) Help() string {
	return `The script completes commands, flags, what values there are to choose from, and names of files.

Examples:

  source <(usher completion bash)   # in ~/.bashrc; bash 4 or later
  source <(usher completion zsh)    # in ~/.zshrc, after compinit; or as a file _usher in a folder of $fpath
  usher completion fish > ~/.config/fish/completions/usher.fish`
}

// Run prints the script. It knows nothing but what the command line's declarations say, and
// runs usher for nothing.
func (c *completionCommand) Run(parser *kong.Kong) error {
	write := map[string]func(completedCommand) string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	_, err := os.Stdout.WriteString(write(completedOf(parser.Model.Node)))
	return err
}

// completedCommand is what a shell completes of a command, in no shell's words.
type completedCommand struct {
	path      string // its words, without usher; of usher itself empty
	name      string // the last of them
	help      string
	commands  []completedCommand
	flags     []completedFlag
	arguments []completedValue
	program   bool // a program and its arguments may follow, behind --
}

type completedFlag struct {
	name       string // without dashes
	short      string // a letter, or nothing
	help       string
	takes      bool // a value
	repeatable bool
	value      completedValue
}

// spellings returns the flag as one types it.
func (f completedFlag) spellings() []string {
	if f.short == "" {
		return []string{"--" + f.name}
	}
	return []string{"--" + f.name, "-" + f.short}
}

// completedValue is what a value can be, as far as that is known.
type completedValue struct {
	name    string
	choices []string // without blanks
	files   bool
}

// all calls f with a command and with those below it.
func (c completedCommand) all(f func(completedCommand)) {
	f(c)
	for _, child := range c.commands {
		child.all(f)
	}
}

// names returns those of the commands right below.
func (c completedCommand) names() (names []string) {
	for _, child := range c.commands {
		names = append(names, child.name)
	}
	return names
}

// completedOf reads a command's declarations, and those of the commands below.
func completedOf(node *kong.Node) completedCommand {
	c := completedCommand{name: node.Name, help: firstSentence(node.Help), program: node.Tag != nil && node.Tag.Has(settingsTag)}
	for at := node; at.Parent != nil; at = at.Parent {
		c.path = strings.TrimSpace(at.Name + " " + c.path)
	}
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			c.flags = append(c.flags, completedFlagOf(flag))
			if flag.Tag.Negatable != "" { // no flag has another word for it
				opposite := completedFlagOf(flag)
				opposite.name, opposite.short = "no-"+opposite.name, ""
				c.flags = append(c.flags, opposite)
			}
		}
	}
	for _, argument := range node.Positional {
		if !c.program {
			c.arguments = append(c.arguments, completedValueOf(argument, argument.Tag.PlaceHolder))
		}
	}
	for _, child := range node.Children {
		if !child.Hidden {
			c.commands = append(c.commands, completedOf(child))
		}
	}
	for i := range c.arguments {
		if len(c.arguments[i].choices) == 1 && c.arguments[i].choices[0] == topicChoices {
			c.arguments[i].choices = helpNames(node.Parent)
		}
	}
	return c
}

func completedFlagOf(flag *kong.Flag) completedFlag {
	f := completedFlag{
		name: flag.Name, help: firstSentence(flag.Help), takes: !flag.IsBool(), repeatable: flag.IsCumulative(),
		value: completedValueOf(flag.Value, flag.PlaceHolder),
	}
	if flag.Short != 0 {
		f.short = string(flag.Short)
	}
	return f
}

// What the tag complete says of a value that tells no shell what it can be by itself.
const (
	completeTag  = "complete"
	topicChoices = "topics" // what usher help explains
	fileChoices  = "files"
)

// word is what stands for itself in a placeholder such as SLOT|master.
var word = regexp.MustCompile(`^[a-z]+$`)

// completedValueOf takes what there is to choose from, or what the placeholder says.
func completedValueOf(value *kong.Value, placeholder string) completedValue {
	v := completedValue{name: value.Name}
	switch value.Tag.Get(completeTag) {
	case topicChoices:
		v.choices = []string{topicChoices} // the commands are not read yet
	case fileChoices:
		v.files = true
	}
	if value.Enum != "" {
		v.choices = slices.DeleteFunc(value.EnumSlice(), func(choice string) bool { return choice == "" })
		return v
	}
	for part := range strings.SplitSeq(placeholder, "|") {
		switch {
		case word.MatchString(part):
			v.choices = append(v.choices, part)
		case part == "PATH", part == "DIR", strings.HasPrefix(part, "FILE"):
			v.files = true
		}
	}
	return v
}

// helpNames returns the topics, settings and commands that usher help explains.
func helpNames(root *kong.Node) (names []string) {
	for _, t := range topics {
		names = append(names, t.name)
	}
	for _, row := range settings {
		names = append(names, row.key)
	}
	for _, command := range root.Children {
		if !command.Hidden {
			names = append(names, command.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// firstSentence returns the beginning of a help text, for a list.
func firstSentence(help string) string {
	help, _, _ = strings.Cut(help, ". ")
	help, _, _ = strings.Cut(help, "; ")
	help, _, _ = strings.Cut(help, ": ")
	return strings.TrimSuffix(strings.Join(strings.Fields(help), " "), ".")
}

// completionHead is how each script begins, whose comments begin as all shells' do.
func completionHead(shell string) string {
	return fmt.Sprintf("# Completion of usher %s for %s, made by usher completion %s.\n", version(), shell, shell)
}
