package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// unit is a package of the measured module, with what the type checker knows.
type unit struct {
	name   string // within the module; "." is the module itself
	module string
	files  []*ast.File
	lines  int
	fset   *token.FileSet
	types  *types.Package
	uses   map[*ast.Ident]types.Object
}

// listed is a package as go list prints it.
type listed struct {
	Dir        string
	ImportPath string
	Export     string // the file of its compiled interface
	GoFiles    []string
	Module     *struct {
		Path string
		Main bool
	}
}

// load lists the packages of the module at dir, and type-checks them.
func load(dir string) ([]*unit, error) {
	list := exec.Command("go", "list", "-export", "-deps", "-json=Dir,ImportPath,Export,GoFiles,Module", "./...")
	list.Dir, list.Stderr = dir, os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	l := &loader{fset: token.NewFileSet(), exports: make(map[string]string), checked: make(map[string]*types.Package)}
	l.compiled = importer.ForCompiler(l.fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(l.exports[path])
	})
	var units []*unit
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return units, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if p.Module == nil || !p.Module.Main {
			l.exports[p.ImportPath] = p.Export
			continue
		}
		u, err := l.check(p)
		if err != nil {
			return nil, err
		}
		units = append(units, u)
	}
}

// loader is an importer: what the module has is checked from its source, so that
// a name is the same object wherever it is used; the rest comes compiled.
type loader struct {
	fset     *token.FileSet
	exports  map[string]string
	compiled types.Importer
	checked  map[string]*types.Package
}

func (l *loader) Import(path string) (*types.Package, error) {
	if p, ok := l.checked[path]; ok {
		return p, nil
	}
	return l.compiled.Import(path)
}

// check needs the packages that p imports to have been checked: go list -deps
// prints them first.
func (l *loader) check(p listed) (*unit, error) {
	u := &unit{module: p.Module.Path, fset: l.fset, uses: make(map[*ast.Ident]types.Object)}
	u.name = u.within(p.ImportPath)
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(l.fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		u.files = append(u.files, file)
		u.lines += l.fset.File(file.Pos()).LineCount()
	}
	config := types.Config{Importer: l}
	checked, err := config.Check(p.ImportPath, l.fset, u.files, &types.Info{Uses: u.uses})
	if err != nil {
		return nil, err
	}
	u.types, l.checked[p.ImportPath] = checked, checked
	return u, nil
}

// within returns a package's path within the module.
func (u *unit) within(path string) string {
	if path == u.module {
		return "."
	}
	return strings.TrimPrefix(path, u.module+"/")
}

// file returns the name of the file that pos is in.
func (u *unit) file(pos token.Pos) string { return filepath.Base(u.fset.File(pos).Name()) }

// used calls f for each use of a name, field or method that this module declares.
func (u *unit) used(f func(at *ast.Ident, what types.Object)) {
	for at, what := range u.uses {
		if _, isImport := what.(*types.PkgName); isImport || what.Pkg() == nil {
			continue
		}
		if path := what.Pkg().Path(); path == u.module || strings.HasPrefix(path, u.module+"/") {
			f(at, origin(what))
		}
	}
}

// origin returns what a generic instance's field or method was declared as.
func origin(o types.Object) types.Object {
	switch o := o.(type) {
	case *types.Var:
		return o.Origin()
	case *types.Func:
		return o.Origin()
	}
	return o
}
