package webconform

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/format"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tests returns those of some files, by name, and of those that cannot be used why.
func (s *selection) tests(files ...string) (good []*declaration, bad map[string]string) {
	bad = make(map[string]string)
	for _, d := range s.all {
		f, ok := d.node.(*ast.FuncDecl)
		name := filepath.Base(s.set.File(d.pos).Name())
		if !ok || f.Recv != nil || !strings.HasPrefix(d.name, "Test") || d.name == "TestMain" || !slices.Contains(files, name) {
			continue
		}
		if d.wrong != "" {
			bad[d.name] = d.wrong
		} else {
			good = append(good, d)
		}
	}
	return good, bad
}

// source prints declarations and what they use, one text a file they are from.
func (s *selection) source(chosen []*declaration) (map[string][]byte, error) {
	need := make(map[*declaration]bool)
	var take func(d *declaration)
	take = func(d *declaration) {
		if need[d] || d.replace {
			return
		}
		need[d] = true
		for _, used := range d.uses {
			take(used)
		}
	}
	for _, d := range slices.Concat(s.given, chosen) {
		take(d)
	}
	texts := make(map[string][]byte)
	for _, file := range s.files {
		var mine []*declaration
		for d := range need {
			if d.file == file {
				mine = append(mine, d)
			}
		}
		if len(mine) == 0 {
			continue
		}
		slices.SortFunc(mine, func(a, b *declaration) int { return cmp.Compare(a.pos, b.pos) })
		path := s.set.File(file.Package).Name()
		original, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		text, err := s.text(file, mine, original)
		if err != nil {
			return nil, err
		}
		texts[filepath.Base(path)] = text
	}
	return texts, nil
}

// text prints some declarations of a file, with the imports they need.
func (s *selection) text(file *ast.File, mine []*declaration, original []byte) ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "package %s\n\nimport (\n", file.Name.Name)
	names := make(map[string]bool) // of packages; with a dot, what is imported so
	for _, d := range mine {
		ast.Inspect(d.node, func(n ast.Node) bool {
			id, ok := n.(*ast.Ident)
			if !ok {
				return true
			}
			switch object := s.uses[id].(type) {
			case nil:
			case *types.PkgName:
				names[id.Name] = true
			default:
				if object.Pkg() != nil && object.Parent() == object.Pkg().Scope() {
					names["."+object.Pkg().Path()] = true
				}
			}
			return true
		})
	}
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		if folder := copied[path]; folder != "" {
			path = copyPath + "/" + folder
		}
		switch {
		case spec.Name != nil && spec.Name.Name == "." && names["."+path]:
			fmt.Fprintf(&out, "\t. %q\n", path)
		case spec.Name != nil && names[spec.Name.Name]:
			fmt.Fprintf(&out, "\t%s %q\n", spec.Name.Name, path)
		case spec.Name == nil && names[name]:
			fmt.Fprintf(&out, "\t%q\n", path)
		}
	}
	out.WriteString(")\n")
	for _, d := range mine {
		from, to := s.set.Position(d.pos).Offset, s.set.Position(d.end).Offset
		out.WriteString("\n")
		if g, ok := d.node.(*ast.GenDecl); ok && len(g.Specs) == 1 {
			out.WriteString(g.Tok.String() + " ")
		}
		out.Write(original[from:to])
		out.WriteString("\n")
	}
	// Some name the package that they are in.
	return format.Source(bytes.ReplaceAll(out.Bytes(), []byte(`net/http_test.`), []byte(copyPath+`_test.`)))
}
