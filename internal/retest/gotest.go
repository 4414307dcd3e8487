package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// event is a line of go test -json (go doc test2json).
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	FailedBuild string
}

// result is what one run of a package's tests came to.
type result struct {
	name    string
	passed  bool
	broken  bool     // it could not be built
	ended   bool     // its tests came to their end, so that no other can have failed
	began   []string // tests, not their subtests
	failed  []string // of those
	summary string   // go test's line

	lines []line
	ends  map[string]string // pass, fail or skip, of each test that ended
}

// line is one of the output of a test, or of none.
type line struct{ test, text string }

// goTest runs go test, and prints what it would print without -json. The error
// is that of the command: each failure it stands for is a result, or none is.
func (r *retest) goTest(args []string) (results []result, err error) {
	cmd := exec.Command("go", slices.Concat([]string{"test", "-json"}, r.flags, args)...)
	cmd.Dir, cmd.Stderr = r.dir, r.errors
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	running := make(map[string]*result)
	events := json.NewDecoder(stdout)
	for {
		var e event
		if err := events.Decode(&e); err != nil {
			break // the end, or else the command is not what it was taken for, and fails
		}
		if e.Action == "build-output" {
			fmt.Fprint(r.out, e.Output)
		}
		if e.Package == "" {
			continue
		}
		one := running[e.Package]
		if one == nil {
			one = &result{name: e.Package, ends: make(map[string]string)}
			running[e.Package] = one
		}
		if one.add(e) {
			delete(running, e.Package)
			one.print(r)
			results = append(results, *one)
		}
	}
	_ = stdout.Close() // if that was not the end, it ends now
	err = cmd.Wait()
	for _, one := range running {
		one.summary = "FAIL\t" + one.name + " [go test ended before it]"
		results = append(results, *one)
	}
	return results, err
}

// add reports whether that was the package's last event.
func (one *result) add(e event) (last bool) {
	switch e.Action {
	case "output":
		text := strings.TrimSuffix(e.Output, "\n")
		one.lines = append(one.lines, line{e.Test, text})
		if e.Test == "" {
			one.summary = text
			one.ended = one.ended || text == "PASS" || text == "FAIL" // testing.M.Run says so
		}
	case "run":
		if !strings.Contains(e.Test, "/") {
			one.began = append(one.began, e.Test)
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			one.passed, one.broken = e.Action != "fail", e.FailedBuild != ""
			return true
		}
		one.ends[e.Test] = e.Action
		if e.Action == "fail" && !strings.Contains(e.Test, "/") {
			one.failed = append(one.failed, e.Test)
		}
	}
	return false
}

// print prints what go test does without -v: of a package that passed its line,
// and of one that did not also the output of those tests that did not pass.
func (one *result) print(r *retest) {
	if one.passed {
		fmt.Fprintln(r.out, one.summary)
		return
	}
	for _, text := range one.why("") {
		fmt.Fprintln(r.out, text)
	}
	fmt.Fprintln(r.out, one.summary)
}

// why is the output of a test that did not pass, or, of "", of them all and of
// the package.
func (one *result) why(test string) (lines []string) {
	if open := one.open(); test == "" && len(open) > 0 {
		lines = append(lines, "not ended: "+strings.Join(open, ", "))
	}
	for i, line := range one.lines {
		top, _, _ := strings.Cut(line.test, "/")
		end := one.ends[line.test]
		switch {
		case test != "" && top != test:
		case end == "pass" || end == "skip":
		case strings.HasPrefix(line.text, "=== "): // which test goes on
		case i == len(one.lines)-1 && line.text == one.summary:
		default:
			lines = append(lines, line.text)
		}
	}
	return lines
}

// open are the tests that did not end.
func (one *result) open() (tests []string) {
	for _, test := range one.began {
		if one.ends[test] == "" {
			tests = append(tests, test)
		}
	}
	return tests
}
