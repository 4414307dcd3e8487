package main

import (
	"fmt"
	"strings"
)

// fishCompletion returns a script for fish: a line for each thing to complete, each with the
// command that it is for as a condition.
func fishCompletion(usher completedCommand) string {
	var b strings.Builder
	b.WriteString(completionHead("fish"))
	var commands, valued []string
	usher.all(func(c completedCommand) {
		if c.path != "" {
			commands = append(commands, fishQuoted(c.path))
		}
		for _, f := range c.flags {
			for _, spelling := range f.spellings() {
				if f.takes {
					valued = append(valued, fishQuoted(strings.TrimSpace(c.path+" "+spelling)))
				}
			}
		}
	})
	fmt.Fprintf(&b, "\nset -g __usher_commands %s\nset -g __usher_valued %s\n", strings.Join(commands, " "), strings.Join(valued, " "))
	b.WriteString(fishFunctions)
	usher.all(func(c completedCommand) {
		at := fmt.Sprintf("complete -c usher -n %s", fishQuoted("__usher_at "+fishQuoted(c.path)))
		for _, child := range c.commands {
			fmt.Fprintf(&b, "%s -a %s -d %s\n", at, child.name, fishQuoted(child.help))
		}
		for _, f := range c.flags {
			fmt.Fprintf(&b, "%s -l %s%s%s -d %s\n", at, f.name, prefixed(" -s ", f.short), fishValue(f), fishQuoted(f.help))
		}
		for i, argument := range c.arguments {
			where := fmt.Sprintf("complete -c usher -n %s", fishQuoted(fmt.Sprintf("__usher_at %s %d", fishQuoted(c.path), i)))
			if len(argument.choices) > 0 {
				fmt.Fprintf(&b, "%s -a %s\n", where, fishQuoted(strings.Join(argument.choices, " ")))
			}
			if argument.files {
				fmt.Fprintf(&b, "%s -F\n", where)
			}
		}
	})
	return b.String()
}

// fishValue says what value a flag takes.
func fishValue(f completedFlag) string {
	if !f.takes {
		return ""
	}
	text := " -x"
	if f.value.files {
		text = " -r -F"
	}
	if len(f.value.choices) > 0 {
		text += " -a " + fishQuoted(strings.Join(f.value.choices, " "))
	}
	return text
}

// prefixed returns prefix and text, or nothing without a text.
func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// fishQuoted returns a word in which nothing has a meaning.
func fishQuoted(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

const fishFunctions = `
# Whether the command that is typed is that one, and has so many arguments.
function __usher_at -a command number
	set -l at ''
	set -l count 0
	set -l value 0
	set -l words (commandline -opc)
	for word in $words[2..-1]
		if test $value = 1
			set value 0
		else if test "$word" = --
			return 1
		else if contains -- (string trim -- "$at $word") $__usher_valued
			set value 1
		else if string match -q -- '-*' "$word"
			continue
		else if contains -- (string trim -- "$at $word") $__usher_commands
			set at (string trim -- "$at $word")
		else
			set count (math $count + 1)
		end
	end
	test "$at" = "$command"; or return 1
	test -z "$number"; or test "$number" = $count
end

# Whether a program follows.
function __usher_program
	contains -- -- (commandline -opc)
end

complete -c usher -e
complete -c usher -f
complete -c usher -n __usher_program -F
`
