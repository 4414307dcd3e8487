package main

import (
	"fmt"
	"strings"
)

// zshCompletion returns a script for zshcompsys(1): a function for each command, that
// describes its arguments to _arguments.
func zshCompletion(usher completedCommand) string {
	var b strings.Builder
	b.WriteString("#compdef usher\n" + completionHead("zsh"))
	usher.all(func(c completedCommand) {
		fmt.Fprintf(&b, "\n%s() {\n", zshName(c.path))
		if len(c.commands) > 0 {
			b.WriteString("\tlocal curcontext=$curcontext state line commands\n\ttypeset -A opt_args\n")
		}
		b.WriteString("\t_arguments -C -S")
		for _, f := range c.flags {
			b.WriteString(" \\\n\t\t" + zshFlag(f))
		}
		for i, argument := range c.arguments {
			fmt.Fprintf(&b, " \\\n\t\t%s", inQuotes(fmt.Sprintf("%d:%s:%s", i+1, zshText(argument.name), zshAction(argument))))
		}
		switch {
		case c.program:
			b.WriteString(" \\\n\t\t'*:program:_files'\n}\n")
		case len(c.commands) > 0:
			b.WriteString(" \\\n\t\t'1: :->command' '*:: :->rest'\n" + zshCommands(c) + "}\n")
		default:
			b.WriteString("\n}\n")
		}
	})
	b.WriteString(`
if [[ $funcstack[1] == _usher ]]; then # as a file in $fpath
	_usher "$@"
else
	compdef _usher usher
fi
`)
	return b.String()
}

// zshCommands is what a function with commands below it does.
func zshCommands(c completedCommand) string {
	var b strings.Builder
	b.WriteString("\tcase $state in\n\tcommand)\n\t\tcommands=(\n")
	for _, child := range c.commands {
		fmt.Fprintf(&b, "\t\t\t%s\n", inQuotes(child.name+":"+zshText(child.help)))
	}
	fmt.Fprintf(&b, "\t\t)\n\t\t_describe command commands\n\t\t;;\n\trest)\n\t\t(( $+functions[%s_$words[1]] )) && %[1]s_$words[1]\n\t\t;;\n\tesac\n", zshName(c.path))
	return b.String()
}

func zshName(path string) string {
	return strings.TrimSuffix("_usher_"+strings.ReplaceAll(path, " ", "_"), "_")
}

// zshFlag returns a flag as _arguments takes it.
func zshFlag(f completedFlag) string {
	text := "[" + zshText(f.help) + "]"
	equals, plus := "", ""
	if f.takes {
		equals, plus = "=", "+"
		text += ":" + zshText(f.name) + ":" + zshAction(f.value)
	}
	switch {
	case f.repeatable && f.short != "":
		return fmt.Sprintf("'*'{-%s%s,--%s%s}%s", f.short, plus, f.name, equals, inQuotes(text))
	case f.repeatable:
		return inQuotes("*--" + f.name + equals + text)
	case f.short != "":
		return fmt.Sprintf("'(-%[1]s --%[2]s)'{-%[1]s%[3]s,--%[2]s%[4]s}%[5]s", f.short, f.name, plus, equals, inQuotes(text))
	}
	return inQuotes("--" + f.name + equals + text)
}

func zshAction(v completedValue) string {
	switch {
	case v.files:
		return "_files"
	case len(v.choices) > 0:
		return "(" + strings.Join(v.choices, " ") + ")"
	}
	return "( )" // nothing can be said of it; a blank alone would say that, and keep flags from being put in
}

// zshText returns a text in which no sign ends it.
func zshText(text string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `:`, `\:`).Replace(text)
}
