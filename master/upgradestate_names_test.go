package master

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// jsonNames lists what encoding/json calls the fields that t has, with those of
// the types in it, and the kinds of their values.
func jsonNames(t reflect.Type, path string, names *[]string) {
	switch t.Kind() {
	case reflect.Pointer:
		jsonNames(t.Elem(), path, names)
		return
	case reflect.Slice, reflect.Array:
		jsonNames(t.Elem(), path+"[]", names)
		return
	case reflect.Map:
		jsonNames(t.Elem(), path+"{}", names)
		return
	}
	encodesItself := t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Implements(reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]())
	if t.Kind() != reflect.Struct || encodesItself {
		kind := t.Kind().String()
		if encodesItself {
			kind = t.String()
		}
		*names = append(*names, fmt.Sprintf("%s %s", path, kind))
		return
	}
	for _, field := range reflect.VisibleFields(t) {
		if len(field.Index) > 1 || !field.IsExported() && !field.Anonymous {
			continue // a promoted one comes with the struct that it is in
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && field.Anonymous:
			jsonNames(field.Type, path, names)
		case name == "":
			jsonNames(field.Type, path+"."+field.Name, names)
		default:
			jsonNames(field.Type, path+"."+name, names)
		}
	}
}

// A master reads what every version of format 2 hands over, so what has a name in
// it keeps the name. New names may come: with -update.
func TestNamesOfFormat2Stay(t *testing.T) {
	var names []string
	jsonNames(reflect.TypeFor[upgradeState](), "", &names)
	slices.Sort(names)
	got := strings.Join(names, "\n") + "\n"
	const golden = "../testdata/upgrade/format2-names.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
