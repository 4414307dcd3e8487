// Command retest is go test for machines that others use too: a test that failed
// is run again, alone, up to twice, and fails only if it never passed. What needed
// another run is named, so that it is not forgotten.
//
//	retest -race -count=1 ./...
//
// Its arguments are those of go test: flags, with their values behind a =, then
// packages. It prints what go test would, what each further run came to, and last,
// if there was one, every package's line again, of its last run. It exits 0 if all
// passed in the end, and else 1.
//
// A package whose tests did not come to their end (a panic, a time limit, os.Exit)
// is run again as a whole, once: some of its tests have not run at all. So is one
// that failed although no test of it did (a leak). One that does not build is not.
package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

const (
	tries = 2 // further runs of a test, alone
	// mostAgain is how many tests of a package are run again: more do not fail by
	// chance.
	mostAgain = 20
)

func main() {
	args := os.Args[1:]
	flags := slices.IndexFunc(args, func(arg string) bool { return !strings.HasPrefix(arg, "-") })
	if flags < 0 {
		fmt.Fprintln(os.Stderr, "usage: retest [-FLAG[=VALUE]...] PACKAGE...")
		os.Exit(2)
	}
	r := &retest{flags: args[:flags], out: os.Stdout, errors: os.Stderr}
	if !r.run(args[flags:]) {
		os.Exit(1)
	}
}

// retest is one run of go test, and what follows from it.
type retest struct {
	dir    string // where go test runs; empty: here
	flags  []string
	out    io.Writer
	errors io.Writer
	notes  strings.Builder // what needed another run
}

// run reports whether all packages passed in the end.
func (r *retest) run(packages []string) bool {
	results, err := r.goTest(packages)
	if !slices.ContainsFunc(results, func(one result) bool { return !one.passed }) {
		if err != nil { // it had nothing to test, or could not begin
			fmt.Fprintln(r.errors, "retest: go test:", err)
		}
		return err == nil
	}
	for i, first := range results {
		if !first.passed {
			results[i] = r.again(first)
		}
	}
	slices.SortFunc(results, func(a, b result) int { return strings.Compare(a.name, b.name) }) // as go test has them
	fmt.Fprint(r.out, r.notes.String())
	passed := true
	for _, last := range results {
		fmt.Fprintln(r.out, last.summary)
		passed = passed && last.passed
	}
	if !passed {
		fmt.Fprintln(r.out, "FAIL")
	}
	return passed
}

// again runs again what failed of a package, and returns what that came to.
func (r *retest) again(first result) result {
	if first.broken {
		return first
	}
	if !first.ended || len(first.failed) == 0 {
		second := r.goTestAgain(first.name, first.name)
		if second.passed {
			r.note(first.name+" as a whole", 1, first.why(""))
			return second
		}
		if !second.ended || len(second.failed) == 0 {
			return second
		}
		first = second
	}
	if n := len(first.failed); n > mostAgain {
		fmt.Fprintf(r.out, "== not again: %d tests of %s failed\n", n, first.name)
		return first
	}
	last := result{passed: true}
	for _, test := range first.failed {
		if one := r.alone(first, test); last.passed {
			last = one
		}
	}
	return last
}

// alone runs a test again until it passes, or has failed too often.
func (r *retest) alone(first result, test string) (last result) {
	for try := 1; try <= tries; try++ {
		last = r.goTestAgain(first.name+" "+test, "-run=^"+regexp.QuoteMeta(test)+"$", first.name)
		if last.passed {
			r.note(first.name+" "+test, try, first.why(test))
			return last
		}
	}
	return last
}

// goTestAgain is goTest for one package.
func (r *retest) goTestAgain(what string, args ...string) result {
	fmt.Fprintln(r.out, "== again:", what)
	results, err := r.goTest(args)
	if len(results) == 1 {
		return results[0]
	}
	name := args[len(args)-1]
	return result{name: name, broken: true, summary: fmt.Sprintf("FAIL\t%s [%v]", name, err)}
}

// mostWhy is how many lines are shown of why something failed at first.
const mostWhy = 5

// note takes note of what needed another run.
func (r *retest) note(what string, failures int, why []string) {
	times := "once"
	if failures > 1 {
		times = fmt.Sprintf("%d times", failures)
	}
	fmt.Fprintf(&r.notes, "needed another run: %s, which failed %s:\n", what, times)
	for i, line := range why {
		if i == mostWhy {
			fmt.Fprintf(&r.notes, "\t[%d more lines are above]\n", len(why)-i)
			break
		}
		fmt.Fprintf(&r.notes, "\t%s\n", line)
	}
}
