package master

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What others' programs read by name keeps it: CHANGELOG.md promises that. New names may
// come, with -update, and none may go.
func TestPromisedNamesStay(t *testing.T) {
	for _, test := range []struct {
		golden string
		names  func() []string
	}{
		{"../testdata/promised/answers.txt", answerNames},
		{"../testdata/promised/metrics.txt", familyNames},
	} {
		names := test.names()
		slices.Sort(names)
		text, err := os.ReadFile(test.golden)
		if err != nil && !*update {
			t.Fatal(err)
		}
		lost, added := changedNames(strings.Split(strings.TrimSpace(string(text)), "\n"), names)
		for _, name := range lost {
			t.Errorf("%s: %q is gone, or another", test.golden, name)
		}
		switch {
		case len(lost) > 0:
		case *update:
			if err := os.WriteFile(test.golden, []byte(strings.Join(names, "\n")+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		case len(added) > 0:
			t.Errorf("%s: these are new (-update adds them): %q", test.golden, added)
		}
	}
}

// changedNames returns what was there and is not, and what is there and was not.
func changedNames(before, now []string) (lost, added []string) {
	for _, name := range before {
		if name != "" && !slices.Contains(now, name) {
			lost = append(lost, name)
		}
	}
	for _, name := range now {
		if !slices.Contains(before, name) {
			added = append(added, name)
		}
	}
	return lost, added
}

// answerNames are the fields of what the control API answers.
func answerNames() (names []string) {
	for endpoint, answer := range map[string]reflect.Type{
		"status":      reflect.TypeFor[Status](),
		"connections": reflect.TypeFor[Connections](),
		"config":      reflect.TypeFor[InForce](),
		"log-level":   reflect.TypeFor[LogLevels](),
	} {
		jsonNames(answer, endpoint, &names)
	}
	return names
}

// familyNames are the metrics, with their kinds and labels.
func familyNames() (names []string) {
	for i := range families {
		f := &families[i]
		names = append(names, strings.TrimSpace(f.name+" "+f.kind.String()+" "+strings.Join(f.labels, ",")))
	}
	return names
}

func TestNamesThatGoAreFound(t *testing.T) {
	for _, test := range []struct {
		name                     string
		before, now, lost, added []string
	}{
		{"the same", []string{"a int", "b int"}, []string{"b int", "a int"}, nil, nil},
		{"a new one", []string{"a int"}, []string{"a int", "b int"}, nil, []string{"b int"}},
		{"one is gone", []string{"a int", "b int"}, []string{"a int"}, []string{"b int"}, nil},
		{"another kind", []string{"a int"}, []string{"a string"}, []string{"a int"}, []string{"a string"}},
		{"the first time", []string{""}, []string{"a int"}, nil, []string{"a int"}},
	} {
		if lost, added := changedNames(test.before, test.now); !slices.Equal(lost, test.lost) || !slices.Equal(added, test.added) {
			t.Errorf("%s: lost %q, added %q", test.name, lost, added)
		}
	}
}
