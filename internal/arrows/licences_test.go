package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// licence is a kind of licence, known by phrases that every text of that kind has, once
// its white space is single spaces and its letters are small.
type licence struct {
	name       string // as SPDX has it
	permissive bool   // who passes the program on owes no more than the text itself
	has        []string
	hasNot     []string
}

var licences = []licence{
	{"MIT", true, []string{"permission is hereby granted, free of charge, to any person obtaining a copy", "the above copyright notice and this permission notice shall be included"}, nil},
	{"BSD-2-Clause", true, []string{"redistribution and use in source and binary forms, with or without modification, are permitted", "in binary form must reproduce the above copyright notice"}, []string{"endorse or promote", "advertising materials"}},
	{"BSD-3-Clause", true, []string{"redistribution and use in source and binary forms, with or without modification, are permitted", "in binary form must reproduce the above copyright notice", "endorse or promote"}, []string{"advertising materials"}},
	{"Apache-2.0", true, []string{"apache license version 2.0, january 2004", "terms and conditions for use, reproduction, and distribution"}, nil},
	{"MPL-2.0", false, []string{"mozilla public license version 2.0", "covered software"}, nil},
}

// licenceOf returns the one kind that a text is of.
func licenceOf(text string) (licence, error) {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	in := func(phrase string) bool { return strings.Contains(text, phrase) }
	var found []licence
	for _, l := range licences {
		if !slices.ContainsFunc(l.has, func(phrase string) bool { return !in(phrase) }) && !slices.ContainsFunc(l.hasNot, in) {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		return licence{}, fmt.Errorf("a text of %d kinds: %.60q", len(found), text)
	}
	return found[0], nil
}

var (
	licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying)([-.].*)?$`)
	noticeFile  = regexp.MustCompile(`(?i)^notice([-.].*)?$`)
)

// owed is what a module's files oblige to.
type owed struct {
	kinds      []string // of its licences: several if it has others' code in folders of their own
	permissive bool     // all of them
	notice     bool     // it has a NOTICE, which Apache-2.0 wants to be passed on
}

func (o owed) String() string {
	text := strings.Join(o.kinds, ", ")
	if o.notice {
		text += ", with NOTICE"
	}
	return text
}

// linked returns what is owed for each module of others that packages are made of, by its
// path: what the folders of these packages say, and those above them in the module.
func linked(t *testing.T, flags ...string) map[string]owed {
	t.Helper()
	list := exec.Command("go", append([]string{"list", "-deps", "-f={{with .Module}}{{if not .Main}}{{.Path}}\t{{.Dir}}\t{{$.Dir}}{{end}}{{end}}"}, flags...)...)
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules, seen := make(map[string]owed), make(map[string]bool)
	for line := range strings.Lines(string(out)) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		field := strings.Split(strings.TrimSpace(line), "\t")
		module, top := field[0], field[1]
		if _, ok := modules[module]; !ok {
			modules[module] = owed{permissive: true}
		}
		for dir := field[2]; !seen[dir]; dir = filepath.Dir(dir) {
			seen[dir] = true
			modules[module] = modules[module].with(t, module, dir)
			if dir == top {
				break
			}
		}
	}
	return modules
}

// with adds what the files of a folder say.
func (o owed) with(t *testing.T, module, dir string) owed {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		o.notice = o.notice || noticeFile.MatchString(entry.Name())
		if entry.IsDir() || !licenceFile.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		kind, err := licenceOf(string(text))
		if err != nil {
			t.Errorf("%s, %s: %v", module, entry.Name(), err)
			continue
		}
		o.permissive = o.permissive && kind.permissive
		if !slices.Contains(o.kinds, kind.name) {
			o.kinds = append(o.kinds, kind.name)
			slices.Sort(o.kinds)
		}
	}
	return o
}

// Whatever of others is in a binary of ours, or in a program that imports our packages,
// has a licence that lets anybody pass it on; CONTRIBUTING.md says which, and why the
// module is here. What tests alone need is there as well.
func TestLicences(t *testing.T) {
	shipped := linked(t, "./...")
	if len(linked(t, "./cmd/usher")) < 10 || len(shipped) > 100 {
		t.Fatalf("%d modules", len(shipped))
	}
	all := linked(t, "-test", "./...")
	tests := maps.Clone(all)
	maps.DeleteFunc(tests, func(module string, _ owed) bool { _, ok := shipped[module]; return ok })
	for module, o := range all {
		if len(o.kinds) == 0 {
			t.Errorf("%s has no licence", module)
		}
		if _, ok := shipped[module]; ok && !o.permissive {
			t.Errorf("%s is shipped, under %s", module, o)
		}
	}
	texts, _ := texts(t)
	_, section, ok := strings.Cut(texts["CONTRIBUTING.md"], "\n## Dependencies and their licences\n")
	section, _, _ = strings.Cut(section, "\n## ")
	forShipped, forTests, both := strings.Cut(section, "\nTests alone ")
	if !ok || !both {
		t.Fatal("CONTRIBUTING.md has no section about dependencies, in two parts")
	}
	comparedWith(t, forShipped, shipped)
	comparedWith(t, forTests, tests)
}

var dependencyRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]*) \\|$")

// comparedWith compares the rows of a table with what modules there are.
func comparedWith(t *testing.T, table string, modules map[string]owed) {
	t.Helper()
	rows := make(map[string]bool)
	for _, m := range dependencyRow.FindAllStringSubmatch(table, -1) {
		module, kind, why := m[1], m[2], m[3]
		rows[module] = true
		switch o, ok := modules[module]; {
		case !ok:
			t.Errorf("CONTRIBUTING.md has %s, which is not there", module)
		case o.String() != kind:
			t.Errorf("CONTRIBUTING.md says of %s: %s; it is %s", module, kind, o)
		case len(strings.Fields(why)) < 2:
			t.Errorf("CONTRIBUTING.md does not say why %s is here", module)
		}
	}
	for _, module := range slices.Sorted(maps.Keys(modules)) {
		if !rows[module] {
			t.Errorf("CONTRIBUTING.md has no row with %s, which is under %s", module, modules[module])
		}
	}
}

func TestLicencesAreTold(t *testing.T) {
	ours, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	const bsd = "Redistribution and use in source and binary forms, with or\n without modification, are permitted provided … Redistributions in binary form must reproduce the above copyright notice"
	tests := []struct{ name, text, want string }{
		{"our own", string(ours), "MIT"},
		{"BSD with two clauses", bsd, "BSD-2-Clause"},
		{"BSD with three", bsd + " Neither the name … may be used to endorse or promote products", "BSD-3-Clause"},
		{"BSD with four", bsd + " All advertising materials mentioning … endorse or promote", ""},
		{"Apache", "Apache License\n  Version 2.0, January 2004\n TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION", "Apache-2.0"},
		{"an older Apache", "Apache License Version 1.1", ""},
		{"Mozilla", "Mozilla Public License Version 2.0 … Covered Software", "MPL-2.0"},
		{"GPL", "GNU GENERAL PUBLIC LICENSE Version 3, 29 June 2007", ""},
		{"two in one", string(ours) + bsd, ""},
		{"no text", "", ""},
	}
	for _, test := range tests {
		if got, err := licenceOf(test.text); got.name != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v; want %q", test.name, got.name, err, test.want)
		}
	}
}
