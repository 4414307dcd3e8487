package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pageExample is a command of docs/control.md, and the answer that follows it.
type pageExample struct {
	command, kind, answer string
}

var commandBlocks = regexp.MustCompile("(?m)^```sh\n((?s:.*?))^```\n\n^```(json|text)\n((?s:.*?))^```\n")

// What docs/control.md has its reader type is answered so: with the fields of the example,
// and more perhaps; text is as it says, but for numbers.
func TestControlPage(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"curl", "sed", "grep"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	text, err := os.ReadFile("../../docs/control.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	var examples []pageExample
	for _, m := range commandBlocks.FindAllStringSubmatch(page, -1) {
		examples = append(examples, pageExample{m[1], m[2], m[3]})
	}
	if n := strings.Count(page, "\n```sh\n"); n != len(examples) || n < 10 {
		t.Fatalf("%d commands, %d with an answer behind", n, len(examples))
	}
	p, dir := install(t), t.TempDir()
	s := p.serve("--workers", "3", "--log-file", filepath.Join(dir, "log"))
	for _, example := range examples {
		cmd := exec.Command("sh", "-eu", "-c", example.command)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "USHER_CONTROL="+s.control)
		got, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s%v: %s", example.command, err, got)
		}
		if example.kind == "text" {
			if got, want := withoutNumbers(string(got)), withoutNumbers(example.answer); got != want {
				t.Errorf("%sgot %s, want %s", example.command, got, want)
			}
			continue
		}
		var gotValue, wantValue any
		if err := json.Unmarshal([]byte(example.answer), &wantValue); err != nil {
			t.Fatalf("%s: %v", example.answer, err)
		}
		if err := json.Unmarshal(got, &gotValue); err != nil {
			t.Errorf("%s%q: %v", example.command, got, err)
		} else if why := lacks(gotValue, wantValue, "the answer"); why != "" {
			t.Errorf("%s%s: %s", example.command, got, why)
		}
	}
	s.ends(0)
}

var number = regexp.MustCompile(`[0-9]+`)

func withoutNumbers(text string) string { return number.ReplaceAllString(text, "0") }

// lacks returns what of an example a value does not have: a field, or a value of the same
// type. Of a list the first element counts.
func lacks(got, want any, where string) string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return where + " is no object"
		}
		for key, value := range want {
			if _, ok := object[key]; !ok {
				return where + " has no " + key
			}
			if why := lacks(object[key], value, where+"."+key); why != "" {
				return why
			}
		}
	case []any:
		list, ok := got.([]any)
		if ok && len(want) == 0 {
			return ""
		}
		if !ok || len(list) == 0 {
			return where + " is no list with elements"
		}
		return lacks(list[0], want[0], where+"[0]")
	default:
		if gotType, wantType := fmt.Sprintf("%T", got), fmt.Sprintf("%T", want); gotType != wantType {
			return fmt.Sprintf("%s is a %s, not a %s", where, gotType, wantType)
		}
	}
	return ""
}
