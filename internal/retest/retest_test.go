package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// module is a tiny module in a folder of its own. Each of its tests fails in its
// own way, as often as it is to.
type module struct {
	t   *testing.T
	dir string
}

func newModule(t *testing.T) module {
	t.Setenv("GOFLAGS", "")
	t.Setenv("GOWORK", "off")
	m := module{t, t.TempDir()}
	m.write("go.mod", "module m\n\ngo 1.26\n")
	m.write("runs/runs.go", `package runs

import "os"

// Count counts the runs of something in this folder.
func Count(name string) int {
	file, err := os.OpenFile("runs-of-"+name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	file.WriteString("x")
	at, err := file.Stat()
	if err != nil {
		panic(err)
	}
	return int(at.Size())
}
`)
	return m
}

func (m module) write(path, text string) {
	path = filepath.Join(m.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// test adds a package with tests.
func (m module) test(name, tests string) {
	m.write(name+"/x_test.go", fmt.Sprintf("package %s\n\nimport (\n\t\"os\"\n\t\"testing\"\n\n\t\"m/runs\"\n)\n\nvar _, _ = os.Exit, runs.Count\n\n%s", name, tests))
}

// runs is how often something has run.
func (m module) runs(path string) int {
	text, err := os.ReadFile(filepath.Join(m.dir, filepath.Dir(path), "runs-of-"+filepath.Base(path)))
	if err != nil {
		m.t.Fatal(err)
	}
	return len(text)
}

// retest runs, and returns what it printed with the times taken out.
func (m module) retest(flags ...string) (passed bool, out string) {
	var text, errors strings.Builder
	r := &retest{dir: m.dir, flags: append([]string{"-count=1"}, flags...), out: &text, errors: &errors}
	passed = r.run([]string{"./..."})
	if errors.Len() > 0 {
		m.t.Errorf("on standard error: %s", errors.String())
	}
	m.t.Logf("it printed:\n%s", text.String())
	return passed, regexp.MustCompile(`\d+\.\d+s`).ReplaceAllString(text.String(), "TIME")
}

// ends checks the last of what was printed: what needed another run, and the
// summary.
func (m module) ends(out, want string) {
	m.t.Helper()
	if !strings.HasSuffix(out, want) {
		m.t.Errorf("it does not end with:\n%s", want)
	}
}

const good = "func TestGood(t *testing.T) { runs.Count(\"good\") }\n"

func TestAllPass(t *testing.T) {
	m := newModule(t)
	m.test("one", good)
	passed, out := m.retest()
	for _, want := range []string{"ok  \tm/one\tTIME\n", "?   \tm/runs\t[no test files]\n"} { // in the order in which they end
		before, after, found := strings.Cut(out, want)
		if out = before + after; !found {
			t.Errorf("it does not say:\n%s", want)
		}
	}
	if !passed || out != "" {
		t.Errorf("passed: %t, and it says more:\n%s", passed, out)
	}
}

// A test that passes in the end is named, with what it said at first, and only
// it has run again.
func TestNeededAnotherRun(t *testing.T) {
	m := newModule(t)
	m.test("a", good+`
func TestOnce(t *testing.T) {
	t.Run("sub", func(t *testing.T) {
		t.Log("first said")
		if runs.Count("once") < 2 {
			t.Error("failed here")
		}
	})
	t.Run("other", func(*testing.T) {})
}

func TestTwice(t *testing.T) {
	if n := runs.Count("twice"); n < 3 {
		t.Errorf("%d is too few", n)
	}
}
`)
	m.test("b", good)
	m.test("leak", good+`
func TestMain(m *testing.M) {
	m.Run()
	if runs.Count("leak") < 2 {
		println("something leaks")
		os.Exit(1)
	}
}
`)
	m.test("panics", `
func TestPanics(t *testing.T) {
	if runs.Count("panics") < 2 {
		panic("as it does at first")
	}
}

func TestAfter(t *testing.T) { runs.Count("after") }
`)
	passed, out := m.retest()
	if !passed {
		t.Error("it failed")
	}
	for path, want := range map[string]int{
		"a/good": 1, "a/once": 2, "a/twice": 3, "b/good": 1, "leak/leak": 2, "panics/panics": 2, "panics/after": 1,
	} {
		if got := m.runs(path); got != want {
			t.Errorf("%s ran %d times, want %d", path, got, want)
		}
	}
	for _, want := range []string{
		"needed another run: m/a TestOnce, which failed once:\n\t    x_test.go:16: first said\n\t    x_test.go:18: failed here\n",
		"needed another run: m/a TestTwice, which failed 2 times:\n\t    x_test.go:26: 1 is too few\n",
		"needed another run: m/leak as a whole, which failed once:\n\tPASS\n\tsomething leaks\n",
		"needed another run: m/panics as a whole, which failed once:\n\t--- FAIL: TestPanics (TIME)\n\tpanic: as it does at first",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say:\n%s", want)
		}
	}
	m.ends(out, " lines are above]\nok  \tm/a\tTIME\nok  \tm/b\tTIME\nok  \tm/leak\tTIME\nok  \tm/panics\tTIME\n?   \tm/runs\t[no test files]\n")
}

// What fails again and again fails, after as many runs as there are to be.
func TestFailed(t *testing.T) {
	for _, test := range []struct {
		name, tests string
		runs        int // of "it"
		said, ends  string
	}{
		{"always", good + "func TestIt(t *testing.T) { t.Errorf(\"run %d\", runs.Count(\"it\")) }\nfunc TestOnce(t *testing.T) { if runs.Count(\"once\") < 2 { t.Fail() } }\n", 3,
			"run 3\n--- FAIL: TestIt", "needed another run: m/it TestOnce, which failed once:\n\t--- FAIL: TestOnce (TIME)\nFAIL\tm/it\tTIME\n"},
		{"panics", good + "func TestIt(t *testing.T) { runs.Count(\"it\"); panic(\"always\") }\n", 2,
			"panic: always", "FAIL\tm/it\tTIME\n"},
		{"exits", good + "func TestIt(t *testing.T) { runs.Count(\"it\"); os.Exit(0) }\n", 2,
			"panic: unexpected call to os.Exit(0) during test", "FAIL\tm/it\tTIME\n"},
		{"exits with an error", good + "func TestIt(t *testing.T) { runs.Count(\"it\"); os.Exit(3) }\n", 2,
			"not ended: TestIt\n", "FAIL\tm/it\tTIME\n"},
		{"leaks", good + "func TestMain(m *testing.M) { runs.Count(\"it\"); m.Run(); os.Exit(1) }\n", 2,
			"PASS\n", "FAIL\tm/it\tTIME\n"},
		{"hangs", good + "func TestIt(t *testing.T) { runs.Count(\"it\"); select {} }\n", 2,
			"panic: test timed out after 2s\n\trunning tests:\n\t\tTestIt", "FAIL\tm/it\tTIME\n"},
		{"is not built", good + "func TestIt(t *testing.T) { nonsense }\n", 0,
			"undefined: nonsense", "FAIL\tm/it [build failed]\n"},
		{"fails before anything else", "func init() { runs.Count(\"it\"); panic(\"at once\") }\n" + good, 2,
			"panic: at once", "FAIL\tm/it\tTIME\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newModule(t)
			m.test("it", test.tests)
			m.test("other", good)
			limit := "-timeout=1m"
			if test.name == "hangs" {
				limit = "-timeout=2s"
			}
			passed, out := m.retest(limit)
			if passed {
				t.Error("it passed")
			}
			if test.runs > 0 {
				if got := m.runs("it/it"); got != test.runs {
					t.Errorf("it ran %d times, want %d", got, test.runs)
				}
			}
			if !strings.Contains(out, test.said) {
				t.Errorf("it does not say:\n%s", test.said)
			}
			m.ends(out, test.ends+"ok  \tm/other\tTIME\n?   \tm/runs\t[no test files]\nFAIL\n")
		})
	}
}

// What go test refuses is not taken for passed.
func TestNothingToTest(t *testing.T) {
	var out, errors strings.Builder
	r := &retest{dir: newModule(t).dir, flags: []string{"-parallel=x"}, out: &out, errors: &errors}
	if r.run([]string{"./..."}) || !strings.Contains(errors.String(), "invalid value") {
		t.Errorf("it passed, or did not say why: %s%s", out.String(), errors.String())
	}
}
