package master

import (
	"os"
	"strings"
	"testing"
)

// docs/control.md has a row for every endpoint, and for none that there is not.
func TestControlPageHasEveryEndpoint(t *testing.T) {
	text, err := os.ReadFile("../docs/control.md")
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for path, methods := range (api{}).endpoints().methods {
		for _, method := range methods {
			row := method + " " + strings.ReplaceAll(path, "{slot}", "SLOT")
			there[row] = true
			if !strings.Contains(string(text), "\n| `"+row+"` |") {
				t.Errorf("no row of %s", row)
			}
		}
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "| `")
		row, _, _ := strings.Cut(rest, "`")
		if ok && strings.Contains(row, " /") && !there[row] {
			t.Errorf("a row of %s, which there is not", row)
		}
	}
}
