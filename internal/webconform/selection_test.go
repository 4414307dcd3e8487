package webconform

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A selection is of the declarations of a package's external tests: those that need
// nothing but what the package exports, and what is given in the place of the rest.
type selection struct {
	set     *token.FileSet
	files   []*ast.File
	objects map[types.Object]*declaration
	uses    map[*ast.Ident]types.Object
	all     []*declaration
	given   []*declaration // what the given file uses
}

// declaration is one at the top level of a file.
type declaration struct {
	file    *ast.File
	node    ast.Node // an *ast.FuncDecl or an *ast.GenDecl with one specification
	name    string   // of a method with that of its type
	pos     token.Pos
	end     token.Pos
	replace bool           // something else of this name is given
	wrong   string         // why it does not compile without what is not exported
	uses    []*declaration // what it names; of a type, its methods too
}

// check reads the external tests of a package and sorts out what cannot be used. given
// is the source of a file that is added, and takes the place of declarations of the same
// names; packages are those whose use makes a declaration unusable.
func check(dir string, given []byte, unusable map[string]bool) (*selection, error) {
	s := &selection{set: token.NewFileSet(), objects: make(map[types.Object]*declaration)}
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		file, err := parser.ParseFile(s.set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(file.Name.Name, "_test") && !constrained(file) {
			s.files = append(s.files, file)
		}
	}
	replacement, err := parser.ParseFile(s.set, "given_test.go", given, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for _, d := range declarations(replacement) {
		names[d.name] = true
	}
	for _, file := range s.files {
		s.all = append(s.all, declarations(file)...)
	}
	return s, s.resolve(dir, replacement, names, unusable)
}

// constrained reports whether a file is for some systems alone.
func constrained(file *ast.File) bool {
	return slices.ContainsFunc(file.Comments, func(g *ast.CommentGroup) bool {
		return g.Pos() < file.Package && strings.HasPrefix(g.List[0].Text, "//go:build")
	})
}

// declarations splits what a file declares, one name group each.
func declarations(file *ast.File) (all []*declaration) {
	add := func(node ast.Node, names ...string) {
		all = append(all, &declaration{file: file, node: node, name: strings.Join(names, " "), pos: node.Pos(), end: node.End()})
	}
	for _, node := range file.Decls {
		switch node := node.(type) {
		case *ast.FuncDecl:
			name := node.Name.Name
			if node.Recv != nil {
				name = receiver(node) + "." + name
			}
			add(node, name)
		case *ast.GenDecl:
			if node.Tok == token.IMPORT {
				continue
			}
			if node.Tok == token.CONST && len(node.Specs) > 1 { // of iota
				var names []string
				for _, spec := range node.Specs {
					for _, name := range spec.(*ast.ValueSpec).Names {
						names = append(names, name.Name)
					}
				}
				add(node, names...)
				continue
			}
			for _, spec := range node.Specs {
				one := &ast.GenDecl{TokPos: spec.Pos(), Tok: node.Tok, Specs: []ast.Spec{spec}}
				var names []string
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names = []string{spec.Name.Name}
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						names = append(names, name.Name)
					}
				}
				add(one, names...)
				d := all[len(all)-1]
				d.pos, d.end = spec.Pos(), spec.End()
			}
		}
	}
	return all
}

// receiver is the name of a method's type.
func receiver(f *ast.FuncDecl) string {
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// resolve checks types, and finds who names whom.
func (s *selection) resolve(dir string, given *ast.File, replaced map[string]bool, unusable map[string]bool) error {
	for _, d := range s.all {
		if d.replace = replaced[d.name] || replaced[strings.Split(d.name, ".")[0]]; d.replace {
			d.file.Decls = slices.DeleteFunc(d.file.Decls, func(n ast.Decl) bool { return n == d.node })
			if spec, ok := d.node.(*ast.GenDecl); ok {
				withoutSpec(d.file, spec.Specs[0])
			}
		}
	}
	imports, err := exported(dir, append(slices.Clone(s.files), given))
	if err != nil {
		return err
	}
	info := &types.Info{Defs: make(map[*ast.Ident]types.Object), Uses: make(map[*ast.Ident]types.Object), Selections: make(map[*ast.SelectorExpr]*types.Selection)}
	config := types.Config{
		Importer: importer.ForCompiler(s.set, "gc", imports),
		Error: func(err error) {
			e, ok := errors.AsType[types.Error](err)
			if !ok || e.Soft {
				return // an import that is not used
			}
			if d := s.at(e.Pos); d != nil && d.wrong == "" {
				d.wrong = e.Msg
			}
		},
	}
	// What does not compile is told by Error.
	_, _ = config.Check("http_test", s.set, append(slices.Clone(s.files), given), info)
	s.uses = info.Uses
	for id, object := range info.Defs {
		if d := s.at(id.Pos()); d != nil && object != nil {
			if object.Parent() == object.Pkg().Scope() || isMethod(object) {
				s.objects[object] = d
			}
		}
	}
	for id, object := range info.Uses {
		user := s.at(id.Pos())
		if user == nil {
			if used := s.objects[origin(object)]; used != nil {
				s.given = append(s.given, used)
			}
			continue
		}
		if name, ok := object.(*types.PkgName); ok && unusable[name.Imported().Path()] && user.wrong == "" {
			user.wrong = "package " + name.Imported().Path()
		}
		if used := s.objects[origin(object)]; used != nil && used != user {
			user.uses = append(user.uses, used)
		}
	}
	for object, d := range s.objects { // a type is nothing without its methods
		if f, ok := object.(*types.Func); ok && isMethod(object) {
			recv := f.Signature().Recv().Type()
			if p, ok := recv.(*types.Pointer); ok {
				recv = p.Elem()
			}
			if named, ok := recv.(*types.Named); ok {
				if t := s.objects[named.Origin().Obj()]; t != nil {
					t.uses = append(t.uses, d)
				}
			}
		}
	}
	s.spread()
	return nil
}

func origin(object types.Object) types.Object {
	switch o := object.(type) {
	case *types.Func:
		return o.Origin()
	case *types.Var:
		return o.Origin()
	}
	return object
}

func isMethod(object types.Object) bool {
	f, ok := object.(*types.Func)
	return ok && f.Signature().Recv() != nil
}

func withoutSpec(file *ast.File, spec ast.Spec) {
	for _, node := range file.Decls {
		if g, ok := node.(*ast.GenDecl); ok {
			g.Specs = slices.DeleteFunc(g.Specs, func(s ast.Spec) bool { return s == spec })
		}
	}
}

// at returns the declaration at a place, or nil.
func (s *selection) at(pos token.Pos) *declaration {
	for _, d := range s.all {
		if d.pos <= pos && pos < d.end {
			return d
		}
	}
	return nil
}

// spread makes wrong what uses something wrong.
func (s *selection) spread() {
	for changed := true; changed; {
		changed = false
		for _, d := range s.all {
			if d.wrong != "" {
				continue
			}
			for _, used := range d.uses {
				if used.wrong != "" {
					d.wrong, changed = used.name+": "+used.wrong, true
					break
				}
			}
		}
	}
}

// exported returns how to find what packages export, compiled, of all that files import.
func exported(dir string, files []*ast.File) (importer.Lookup, error) {
	paths := make(map[string]bool)
	for _, file := range files {
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return nil, err
			}
			paths[path] = true
		}
	}
	args := append([]string{"list", "-export", "-deps", "-json=ImportPath,Export"}, slices.Sorted(maps.Keys(paths))...)
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr // the standard library has packages of others, too
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := make(map[string]string)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
	}
	return func(path string) (io.ReadCloser, error) {
		return os.Open(cmp.Or(exports[path], exports["vendor/"+path]))
	}, nil
}
