package main

import (
	"fmt"
	"go/ast"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// exported counts the exported names of the package's scope, and the exported
// fields and methods of the types in it.
func (u *unit) exported() (names, members int) {
	for _, t := range u.scope() {
		if t.Exported() {
			names++
		}
	}
	for _, named := range u.namedTypes() {
		fields, methods := membersOf(named)
		for _, m := range slices.Concat(fields, methods) {
			if m.Exported() {
				members++
			}
		}
	}
	return names, members
}

func (u *unit) scope() (objects []types.Object) {
	scope := u.types.Scope()
	for _, name := range scope.Names() {
		objects = append(objects, scope.Lookup(name))
	}
	return objects
}

func (u *unit) namedTypes() (all []*types.Named) {
	for _, o := range u.scope() {
		if name, ok := o.(*types.TypeName); ok && !name.IsAlias() {
			all = append(all, name.Type().(*types.Named))
		}
	}
	return all
}

// membersOf returns the fields and the methods that a type declares itself.
func membersOf(t *types.Named) (fields, methods []types.Object) {
	switch under := t.Underlying().(type) {
	case *types.Struct:
		for field := range under.Fields() {
			fields = append(fields, field)
		}
	case *types.Interface:
		for method := range under.ExplicitMethods() {
			methods = append(methods, method)
		}
	}
	for method := range t.Methods() {
		methods = append(methods, method)
	}
	return fields, methods
}

// size is how large a type is: what it has, and over how many files that is spread.
type size struct {
	name                   string
	fields, methods, files int
}

// largestTypes returns the types with the most fields and methods, at most n of them.
func largestTypes(u *unit, n int) (largest []size) {
	for _, t := range u.namedTypes() {
		fields, methods := membersOf(t)
		files := make(map[string]bool)
		for _, m := range slices.Concat(fields, methods) {
			files[u.file(m.Pos())] = true
		}
		if len(files) > 0 {
			largest = append(largest, size{t.Obj().Name(), len(fields), len(methods), len(files)})
		}
	}
	slices.SortStableFunc(largest, func(a, b size) int { return b.fields + b.methods - a.fields - a.methods })
	return largest[:min(n, len(largest))]
}

// crossing is what a package uses of another one.
type crossing struct {
	to    string
	names []string // Name, or Type.Member
}

// crossings returns what u uses of the module's other packages.
func crossings(u *unit) (all []crossing) {
	found := make(map[string]map[string]bool)
	u.used(func(_ *ast.Ident, what types.Object) {
		if what.Pkg() == u.types {
			return
		}
		to := u.within(what.Pkg().Path())
		if found[to] == nil {
			found[to] = make(map[string]bool)
		}
		found[to][qualified(what)] = true
	})
	for _, to := range slices.Sorted(maps.Keys(found)) {
		all = append(all, crossing{to, slices.Sorted(maps.Keys(found[to]))})
	}
	return all
}

// qualified returns the name of an object, after that of the type that it is a
// member of.
func qualified(o types.Object) string {
	scope := o.Pkg().Scope()
	if scope.Lookup(o.Name()) == o {
		return o.Name()
	}
	for _, name := range scope.Names() {
		declared := scope.Lookup(name)
		if named, ok := declared.Type().(*types.Named); ok && named.Obj() == declared {
			fields, methods := membersOf(named)
			if slices.Contains(slices.Concat(fields, methods), o) {
				return name + "." + o.Name()
			}
		}
	}
	// A member of a type without a name: its place tells it from others.
	return fmt.Sprintf("%s (%d)", strings.TrimSpace(o.Name()), o.Pos())
}
