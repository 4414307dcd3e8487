package main

import (
	"fmt"
	"strings"
)

// bashCompletion returns a script for bash(1), Programmable Completion: two tables, and a
// function that looks into them.
func bashCompletion(usher completedCommand) string {
	var b strings.Builder
	b.WriteString(completionHead("bash") + `
# What may follow a command: sets commands, flags, and of these those with a value, valued.
_usher_command() {
	case $1 in
`)
	values := new(bashValues)
	usher.all(func(c completedCommand) {
		var flags, valued []string
		for _, f := range c.flags {
			flags = append(flags, f.spellings()...)
			if f.takes {
				valued = append(valued, f.spellings()...)
			}
			for _, spelling := range f.spellings() {
				values.add(c.path, spelling, f.value)
			}
		}
		for i, argument := range c.arguments {
			values.add(c.path, fmt.Sprint(i), argument)
		}
		fmt.Fprintf(&b, "\t%s) commands=%s flags=%s valued=%s ;;\n", inQuotes(c.path), inQuotes(strings.Join(c.names(), " ")),
			inQuotes(strings.Join(flags, " ")), inQuotes(" "+strings.Join(valued, " ")+" "))
	})
	b.WriteString(`	esac
}

# What the value of a command's flag may be, or its argument with a number: sets choices and files.
_usher_value() {
	case "$1 $2" in
`)
	for i, patterns := range values.patterns {
		fmt.Fprintf(&b, "\t%s) %s ;;\n", strings.Join(patterns, " | "), values.sets[i])
	}
	b.WriteString(bashFunction)
	return b.String()
}

// bashValues are the rows of _usher_value: those that set the same are one.
type bashValues struct {
	sets     []string
	patterns [][]string
}

func (v *bashValues) add(path, of string, value completedValue) {
	var sets []string
	if len(value.choices) > 0 {
		sets = append(sets, "choices="+inQuotes(strings.Join(value.choices, " ")))
	}
	if value.files {
		sets = append(sets, "files=1")
	}
	if sets == nil {
		return
	}
	set, pattern := strings.Join(sets, " "), inQuotes(path+" "+of)
	for i := range v.sets {
		if v.sets[i] == set {
			v.patterns[i] = append(v.patterns[i], pattern)
			return
		}
	}
	v.sets, v.patterns = append(v.sets, set), append(v.patterns, []string{pattern})
}

// inQuotes returns a word for bash and zsh, in which nothing has a meaning.
func inQuotes(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// bashFunction is the rest of the script. bash makes a word of its own of the = in
// --flag=value.
const bashFunction = `	esac
}

_usher() {
	local cur=${COMP_WORDS[COMP_CWORD]} command= word= of= number=0 rest= i
	local commands= flags= valued= choices= files=
	_usher_command ''
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == -- ]]; then
			rest=1
			break
		elif [[ $valued == *" $word "* ]]; then
			[[ ${COMP_WORDS[i + 1]} == = ]] && ((++i))
			((++i >= COMP_CWORD)) && of=$word
		elif [[ $word == -* ]]; then
			:
		elif [[ " $commands " == *" $word "* ]]; then
			command+=${command:+ }$word
			_usher_command "$command"
		else
			((++number))
		fi
	done
	[[ $cur == = ]] && cur=
	if [[ $rest ]]; then
		files=1
	elif [[ $of ]]; then
		_usher_value "$command" "$of"
	elif [[ $cur == -* ]]; then
		choices=$flags
	elif [[ $commands ]]; then
		choices=$commands
	else
		_usher_value "$command" "$number"
	fi
	COMPREPLY=()
	[[ $choices ]] && mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
	if [[ $files ]]; then
		compopt -o filenames -o default 2> /dev/null # default: for names that begin with a quote
		mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur")
	fi
}

complete -F _usher usher
`
