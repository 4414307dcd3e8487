package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// doors are the files that open the product to its own tests, with the tag that a
// build needs to have them.
var doors = map[string]string{
	"internal/killpoint/on.go":             "killpoints",
	"master/testdoor.go":                   "testdoors",
	"master/internal/dispatch/testdoor.go": "testdoors",
	"worker/testdoor.go":                   "testdoors",
}

// compiled returns the files of this module that a build of the command has, or
// of what packages are named, without their tests.
func compiled(t *testing.T, tags string, packages ...string) (root string, files []string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"list", "-deps", "-tags=" + tags, "-f={{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}\n{{end}}"}
	list := exec.Command("go", append(args, packages...)...)
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range strings.Fields(string(out)) {
		if file, ours := strings.CutPrefix(path, root+"/"); ours {
			files = append(files, file)
		}
	}
	return root, files
}

// The command and the packages for workers, as they are shipped, have none of
// what their own tests come in by: no file of doors, nothing exported for a test
// but what users' tests stand on, and no package testing.
func TestShippedHasNoDoor(t *testing.T) {
	root, shipped := compiled(t, "", "./cmd/...", "./master/...", "./worker/...")
	for door, tag := range doors {
		if slices.Contains(shipped, door) {
			t.Errorf("%s is in a build without tags", door)
		}
		if _, tagged := compiled(t, tag, "./cmd/usher"); !slices.Contains(tagged, door) {
			t.Errorf("%s is not in a build with the tag %s", door, tag)
		}
	}
	forTests := regexp.MustCompile(`^(New)?Test`)
	for _, file := range shipped {
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for name := range declared(tree) {
			if forTests.MatchString(name) {
				t.Errorf("%s declares %s, for a test", file, name)
			}
		}
		for _, spec := range tree.Imports {
			if spec.Path.Value == `"testing"` && tree.Name.Name != "workertest" {
				t.Errorf("%s imports testing", file)
			}
		}
	}
}

// declared returns the names that a file declares for its package.
func declared(file *ast.File) map[string]bool {
	names := make(map[string]bool)
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names[d.Name.Name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names[spec.Name.Name] = true
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names[name.Name] = true
					}
				}
			}
		}
	}
	return names
}
