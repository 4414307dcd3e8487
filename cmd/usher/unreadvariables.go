package main

import (
	"fmt"
	"slices"
	"strings"
)

// otherVariables are read, besides those of settings: by workers; and a server that a worker
// starts may have those that told that one who it is.
var otherVariables = []string{"USHER_DEBUG", "USHER_PROTOCOL", "USHER_SLOT", "USHER_GENERATION", "USHER_METRICS"}

// unreadVariable is a variable that begins as usher's do, and that no server reads. Workers
// are not given it either.
type unreadVariable struct {
	name  string
	meant string // the one that is read and has nearly the same name; empty: there is none
}

func (u unreadVariable) String() string {
	if u.meant == "" {
		return "no setting has the variable " + u.name
	}
	return fmt.Sprintf("no setting has the variable %s; did you mean %s?", u.name, u.meant)
}

// unreadVariables returns those of an environment, given as os.Environ does.
func unreadVariables(environ []string) (unread []unreadVariable) {
	known := slices.Clone(otherVariables)
	for _, row := range settings {
		known = append(known, row.variable())
	}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, variablePrefix) && !slices.Contains(known, name) {
			unread = append(unread, unreadVariable{name, nearest(name, known)})
		}
	}
	return unread
}

// nearest returns the known name that differs least, in no more than a third of its letters;
// or nothing.
func nearest(name string, known []string) (found string) {
	rest := strings.TrimPrefix(name, variablePrefix)
	least := len(rest)/3 + 1
	for _, candidate := range known {
		if n := edits(rest, strings.TrimPrefix(candidate, variablePrefix)); n < least {
			found, least = candidate, n
		}
	}
	return found
}

// edits returns how many letters are to be put in, taken out or replaced to make b of a
// (the Levenshtein distance).
func edits(a, b string) int {
	row := make([]int, len(b)+1) // of the part of a so far, to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
