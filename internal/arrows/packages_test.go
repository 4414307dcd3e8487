package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/pagetest"
)

// docs/architecture.md shows which package imports which, and says of each what
// its own first sentence says.
func TestPackagesDrawn(t *testing.T) {
	list := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", module+"/...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var drawing, table strings.Builder
	drawing.WriteString("```mermaid\nflowchart TD\n")
	table.WriteString("\n| package | what it is, by its own words | imports |\n|---|---|---|\n")
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Doc string
			Imports         []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		var imports []string
		for _, path := range p.Imports {
			to, ours := strings.CutPrefix(path, module+"/")
			if !ours {
				continue
			}
			imports = append(imports, "`"+to+"`")
			if !strings.HasPrefix(name, "internal/") && !strings.HasPrefix(to, "internal/") {
				fmt.Fprintf(&drawing, "    %s --> %s\n", name, to)
			}
		}
		if p.Doc == "" {
			t.Errorf("package %s does not say what it is", name)
		}
		fmt.Fprintf(&table, "| [`%s`](../%s) | %s | %s |\n", name, name, synopsis(p.Doc), strings.Join(imports, " "))
	}
	drawing.WriteString("```\n")
	pagetest.Part(t, "../../docs/architecture.md", "packages", drawing.String()+table.String(), *update)
}

// synopsis is a package's first sentence without "Package x", as go list has it.
func synopsis(doc string) string {
	words := strings.Fields(doc)
	if len(words) > 2 && (words[0] == "Package" || words[0] == "Command") {
		words = words[2:]
	}
	return strings.Join(words, " ")
}
