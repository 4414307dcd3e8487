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

// addedRow is a counter that there is not.
const addedRow = "\tBytesRead T `kind:\"counter\" unit:\"bytes\" help:\"read from the connections in 'received'\"`\n"

// loops are the tests that go over the table, and so find a row that is added: each
// logs the rows that it has seen.
var loops = map[string][]string{
	"./ipc":                      {"TestEveryCounterIsRead", "TestEveryCounterIsBounded", "TestEveryKeptCounterIsAdded"},
	"./master/internal/dispatch": {"TestEveryKeptCounterSurvivesItsWorker"},
	"./master":                   {"TestEveryCounterIsShown"},
}

// One more row in Counters, and nothing else, makes a counter that is laid out, read,
// bounded, kept and shown like the others. Only the page of the protocol is to be written
// again, and the test of it says so.
func TestAddedRow(t *testing.T) {
	source, err := os.ReadFile("counters.go")
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.Index(source, []byte("}\n\n// bell is"))
	if end < 0 {
		t.Fatal("counters.go has no last row")
	}
	folder := t.TempDir()
	added := filepath.Join(folder, "counters.go")
	longer := string(source[:end]) + addedRow + string(source[end:])
	if err := os.WriteFile(added, []byte(longer), 0o644); err != nil {
		t.Fatal(err)
	}
	original, err := filepath.Abs("counters.go")
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
			if _, after, ran := strings.Cut(output, "=== RUN   "+name+"\n"); !ran || !strings.Contains(strings.SplitN(after, "--- ", 2)[0], "row bytes_read") {
				t.Errorf("%s: %s did not see the row:\n%s", at, name, output)
			}
		}
	}
	output, err := test("./ipc", "TestProtocolTable")
	if err == nil || !strings.Contains(output, fmt.Sprintf("| %d | u64 | `bytes_read` | worker | read from the connections in `received` |", 8*rowCount)) {
		t.Errorf("the page is to be out of date: %v\n%s", err, output)
	}
}
