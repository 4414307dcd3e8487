package master

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// The supervisor acts on every event of the accept goroutine; but that it is alive, which
// is for the service manager.
func TestEveryDispatchEventHasACase(t *testing.T) {
	parse := func(path string) *ast.File {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	cases := map[string]bool{"Alive": true}
	ast.Inspect(parse("events.go"), func(n ast.Node) bool {
		if clause, ok := n.(*ast.CaseClause); ok {
			for _, e := range clause.List {
				if s, ok := e.(*ast.SelectorExpr); ok && s.X.(*ast.Ident).Name == "dispatch" {
					cases[s.Sel.Name] = true
				}
			}
		}
		return true
	})
	events := 0
	for _, d := range parse("internal/dispatch/event.go").Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == "event" {
			name := f.Recv.List[0].Type.(*ast.Ident).Name
			if events++; !cases[name] {
				t.Errorf("handle has no case for dispatch.%s", name)
			}
		}
	}
	if events < 5 || len(cases) != events {
		t.Errorf("%d events, %d cases", events, len(cases))
	}
}
