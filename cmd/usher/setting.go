package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// setting is one thing that an operator can set: a row of the table settings. All
// that usher does with settings in general is derived from the rows: the flags of
// usher serve and usher check, their help, the environment variables, the keys of
// the configuration file and what they may be, what a reload may change, and the
// page docs/configuration.md.
//
// So a new setting is a row, and what is made of its value. A new way to write a
// value is a kind: see kindOf.
type setting struct {
	// key is the flag without its dashes, and the key of the file.
	key string
	// field returns where the value goes: a pointer to a part of v. The type that it
	// points to decides how the value is written.
	field func(v *values) any

	// byDefault is the value if nobody sets one, written as for a flag; empty: there
	// is none.
	byDefault string
	// computed returns the default where it depends on machine and user; byDefault
	// says in words what it is.
	computed func() string

	// choices are all values that there are; nil: whatever the type of the field takes.
	choices []string
	// wants are the values that a number may have, in the words of master.Config.Check,
	// which is what refuses others.
	wants string
	// unit is what a number counts; empty: its kind says that.
	unit string

	// help says in sentences what the setting does. choices and byDefault are added to
	// it where they are not to be seen beside it.
	help string
	// more is what the page says besides.
	more string
	// placeholder stands for the value in --help; empty: its default does.
	placeholder string

	// fixed is for what is as it was at the start: a reload that changes it is refused.
	fixed bool
	// kept is for what tells this server from others: a reload is refused if the file
	// no longer says it. See checkWhole.
	kept bool
	// beforeFile is for what says where the file is, and so is not in it.
	beforeFile bool
	// argument is for what is no flag and no variable: it comes after --.
	argument bool
}

// lookUp returns the row with a key, or nil.
func lookUp(key string) *setting {
	for _, row := range settings {
		if row.key == key {
			return row
		}
	}
	return nil
}

// inFile returns the row with a key that the file may have, or nil.
func inFile(key string) *setting {
	row := lookUp(key)
	if row == nil || row.beforeFile {
		return nil
	}
	return row
}

// variablePrefix begins the names of all variables.
const variablePrefix = "USHER_"

// variable returns the environment variable that sets it, or nothing.
func (s *setting) variable() string {
	if s.argument {
		return ""
	}
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(s.key, "-", "_"))
}

// initial returns the default, written as for a flag, or nothing.
func (s *setting) initial() string {
	if s.computed != nil {
		return s.computed()
	}
	return s.byDefault
}

// kind returns how its values are written.
func (s *setting) kind() kind { return kindOf(s.field(new(values))) }

// flagHelp returns the help, with what --help does not show in the place of a value.
func (s *setting) flagHelp() string {
	text := strings.TrimSuffix(s.help, ".")
	if s.choices != nil {
		text += ": " + strings.Join(s.choices, ",")
	}
	switch {
	case s.computed != nil && s.placeholder == "":
		text += fmt.Sprintf(" (%s: %s)", s.computed(), s.byDefault)
	case s.placeholder != "" && s.byDefault != "" && s.byDefault != "0": // of 0 the help itself says what it means
		text += fmt.Sprintf(" (%s)", s.initial())
	}
	return text + "."
}

// mismatch returns what it wants in the file instead of a value, or nothing. The value
// is as package toml has it: string, int64, bool, []any, …
func (s *setting) mismatch(value any) (want string) {
	kind := s.kind()
	want = kind.want
	if s.choices != nil {
		want = "one of " + strings.Join(s.choices, ", ")
	}
	if !kind.fits(value) {
		if text := fmt.Sprint(value); slices.Contains(s.choices, text) {
			want = strconv.Quote(text) + ", a string" // as the number 1.2 is not
		}
		return want
	}
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			if strings.ContainsRune(element.(string), 0) {
				return "strings without a zero byte"
			}
		}
	case string:
		if s.choices != nil && !slices.Contains(s.choices, value) {
			return want
		}
	}
	return ""
}
