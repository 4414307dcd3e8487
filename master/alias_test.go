package master_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
)

// go doc shows no fields of an exported type whose declaration is in an internal
// package, so its comment here has to name each.
func TestAliasesNameTheirFields(t *testing.T) {
	types := map[string]reflect.Type{
		"Address":        reflect.TypeFor[master.Address](),
		"Transport":      reflect.TypeFor[master.Transport](),
		"ListenerStatus": reflect.TypeFor[master.ListenerStatus](),
	}
	aliases := exportedAliases(t)
	if len(aliases) != len(types) {
		t.Errorf("the exported aliases are %v; this test knows %d of them", aliases, len(types))
	}
	for name, comment := range aliases {
		of := types[name]
		if of == nil {
			t.Errorf("this test does not know %s", name)
			continue
		}
		for _, field := range reflect.VisibleFields(of) {
			if !regexp.MustCompile(`\b` + field.Name + `\b`).MatchString(comment) {
				t.Errorf("the comment of %s does not name its field %s", name, field.Name)
			}
		}
	}
}

// exportedAliases returns the comment of each alias that this package exports, by name.
func exportedAliases(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	set := token.NewFileSet()
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == "testdoor.go" {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	pkg, err := doc.NewFromFiles(set, files, "github.com/usher-go/usher/master")
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for _, typ := range pkg.Types {
		for _, spec := range typ.Decl.Specs {
			if spec, ok := spec.(*ast.TypeSpec); ok && spec.Assign.IsValid() {
				comments[typ.Name] = typ.Doc
			}
		}
	}
	return comments
}
