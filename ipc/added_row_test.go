package ipc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// addedRows are counters that there are not: a last one of each part of the table, the tests
// that go over that, and so find a row that is added: each logs the rows that it has seen.
var addedRows = []struct {
	file, end, row string
	line           string // of it in PROTOCOL.md
	loops          map[string][]string
}{
	{
		"counters.go", "}\n\n// bell is", "\tAddedRow T `kind:\"counter\" unit:\"bytes\" help:\"read from the connections in 'received'\"`\n",
		fmt.Sprintf("| %d | u64 | `added_row` | worker | read from the connections in `received` |", 8*rowCount),
		map[string][]string{
			"./ipc":                      {"TestEveryCounterIsRead", "TestEveryCounterIsBounded", "TestEveryKeptCounterIsAdded"},
			"./master/internal/dispatch": {"TestEveryKeptCounterSurvivesItsWorker"},
			"./master":                   {"TestEveryCounterIsShown"},
		},
	},
	{
		"further.go", "}\n\n// Histogram is", "\tAddedRow T `kind:\"counter\" unit:\"bytes\" help:\"whatever\"`\n",
		fmt.Sprintf("| %d | u64 | `added_row` | worker | whatever |", 8*furtherCells),
		map[string][]string{
			"./ipc":                      {"TestEveryFurtherCounterIsBounded"},
			"./master/internal/dispatch": {"TestEveryFurtherCounterSurvivesItsWorker"},
			"./master":                   {"TestEveryCounterIsShown"},
		},
	},
}

// One more row in Counters or in Further, and nothing else, makes a counter that is laid out,
// read, bounded, kept and shown like the others. Only the page of the protocol is to be written
// again, and the test of it says so.
func TestAddedRow(t *testing.T) {
	for _, added := range addedRows {
		t.Run(added.file, func(t *testing.T) { addRow(t, added.file, added.end, added.row, added.line, added.loops) })
	}
}

func addRow(t *testing.T, name, last, row, line string, loops map[string][]string) {
	source, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.Index(source, []byte(last))
	if end < 0 {
		t.Fatalf("%s has no last row", name)
	}
	folder := t.TempDir()
	added := filepath.Join(folder, name)
	longer := string(source[:end]) + row + string(source[end:])
	if err := os.WriteFile(added, []byte(longer), 0o644); err != nil {
		t.Fatal(err)
	}
	original, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: added}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	test := func(at, name string) (string, error) {
		command := exec.Command("go", "test", "-overlay", file, "-count", "1", "-v", "-run", "^("+name+")$", at)
		command.Dir = ".."
		output, err := command.CombinedOutput()
		return string(output), err
	}
	for at, names := range loops {
		output, err := test(at, strings.Join(names, "|"))
		if err != nil {
			t.Errorf("%s: %v\n%s", at, err, output)
		}
		for _, name := range names {
			if _, after, ran := strings.Cut(output, "=== RUN   "+name+"\n"); !ran || !strings.Contains(strings.SplitN(after, "--- ", 2)[0], "row added_row") {
				t.Errorf("%s: %s did not see the row:\n%s", at, name, output)
			}
		}
	}
	output, err := test("./ipc", "TestProtocolTable")
	if err == nil || !strings.Contains(output, line) {
		t.Errorf("the page is to be out of date: %v\n%s", err, output)
	}
}
