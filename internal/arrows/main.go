// Command arrows measures the structure of a Go module, so that one can tell what
// a rebuilding has changed.
//
//	go run ./internal/arrows [-names] [-files PACKAGE] [DIRECTORY]
//
// For each package it prints the files and lines without the tests, the exported
// names of the package, and the exported fields and methods of its types; and of its
// three largest types, over how many files they are spread. An arrow between two
// files of a package means that one uses a name, field or method that the other
// declares, by type information. The files are put into an order in which as few
// arrows as can be found run back up: those are what makes a package hard to read
// from its top. A circle is the largest set of files of which each reaches each.
//
// For each pair of packages of the module it prints how many names, fields and
// methods of the second the first uses; with -names, which. With -files it prints
// the order found for one package and the arrows that run back up.
//
// The tests of this package keep the rules of which package may import which.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

func main() {
	names := flag.Bool("names", false, "print the names that cross from package to package")
	files := flag.String("files", "", "print the order of this package's files, and the arrows that run back up")
	flag.Parse()
	if err := run(os.Stdout, flag.Args(), *names, *files); err != nil {
		fmt.Fprintf(os.Stderr, "arrows: %v\n", err)
		os.Exit(1)
	}
}

func run(w io.Writer, args []string, names bool, files string) error {
	dir := "."
	switch len(args) {
	case 0:
	case 1:
		dir = args[0]
	default:
		return errors.New("more than one directory")
	}
	packages, err := load(dir)
	if err != nil {
		return err
	}
	if files == "" {
		return printAll(w, packages, names)
	}
	for _, p := range packages {
		if p.name == files {
			return printFiles(w, p)
		}
	}
	return fmt.Errorf("there is no package %s", files)
}

func printAll(w io.Writer, packages []*unit, names bool) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "package\tfiles\tlines\texported\tmembers\tarrows\tback up\tcircle")
	for _, p := range packages {
		g := fileGraph(p)
		exported, members := p.exported()
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", p.name, len(p.files), p.lines, exported, members,
			g.arrows(), len(g.back(g.order())), g.circle())
	}
	fmt.Fprintln(table, "\ntype\tfields\tmethods\tfiles")
	for _, p := range packages {
		for _, t := range largestTypes(p, 3) {
			fmt.Fprintf(table, "%s.%s\t%d\t%d\t%d\n", p.name, t.name, t.fields, t.methods, t.files)
		}
	}
	fmt.Fprintln(table, "\nfrom\tto\tnames")
	for _, p := range packages {
		for _, c := range crossings(p) {
			fmt.Fprintf(table, "%s\t%s\t%d\n", p.name, c.to, len(c.names))
			if names {
				for _, name := range c.names {
					fmt.Fprintf(table, "\t\t%s\n", name)
				}
			}
		}
	}
	return table.Flush()
}

func printFiles(w io.Writer, p *unit) error {
	g := fileGraph(p)
	order := g.order()
	for _, file := range order {
		if _, err := fmt.Fprintln(w, g.nodes[file]); err != nil {
			return err
		}
	}
	for _, arrow := range g.back(order) {
		if _, err := fmt.Fprintf(w, "%s -> %s\n", g.nodes[arrow[0]], g.nodes[arrow[1]]); err != nil {
			return err
		}
	}
	return nil
}
