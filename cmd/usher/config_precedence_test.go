package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A flag wins over the environment, that over the file, that over the default:
// for each setting that all of them have.
func TestPrecedence(t *testing.T) {
	withoutVariables(t)
	defaults := mustRead(t, "serve")
	for _, row := range settings {
		if row.argument || row.beforeFile {
			continue
		}
		t.Run(row.key, func(t *testing.T) {
			initial := valueOf(defaults, row)
			values := examples(row)
			typed, other := values[0], values[1]
			file := filepath.Join(t.TempDir(), "usher.toml")
			write := func(value string) {
				writeFile(t, file, row.key+" = "+row.kind().inFile(value)+"\n")
			}
			check := func(from, want string, args ...string) {
				t.Helper()
				r := mustRead(t, append([]string{"serve"}, args...)...)
				if got := valueOf(r, row); got != inGo(row, want) || got == initial {
					t.Errorf("%s: %s, want %s, which is not the default %s", from, got, want, initial)
				}
			}
			write(typed)
			check("file", typed, "--config", file)
			write(other)
			check("file", other, "--config", file)
			t.Setenv(row.variable(), typed)
			check("environment over file", typed, "--config", file)
			check("environment", typed)
			t.Setenv(row.variable(), other)
			write(other)
			check("flag over both", typed, "--config", file, "--"+row.key+"="+typed)
			os.Unsetenv(row.variable())
			check("flag over file", typed, "--config", file, "--"+row.key+"="+typed)
		})
	}
}

// withoutVariables has the test's environment set nothing.
func withoutVariables(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "USHER_") {
			t.Setenv(name, "") // so that it is restored
			os.Unsetenv(name)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The program after -- wins over the file's, which is taken as it is written.
func TestProgramPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "usher.toml")
	writeFile(t, file, `program = ["./w", "a,b", "--", "-x"]`)
	tests := []struct {
		args, want []string
	}{
		{[]string{"serve", "--config", file}, []string{"./w", "a,b", "--", "-x"}},
		{[]string{"serve", "--config", file, "--app", "lines"}, []string{"./w", "a,b", "--", "-x"}},
		{[]string{"serve", "--config", file, "--", "./other", "-y"}, []string{"./other", "-y"}},
		{[]string{"serve", "--app", "lines"}, []string{self(), "worker", "lines"}},
	}
	for _, test := range tests {
		s := newSources(test.args)
		r, err := s.read()
		if err != nil {
			t.Fatal(err)
		}
		config, err := r.config(s)
		if diff := cmp.Diff(test.want, config.Program); err != nil || diff != "" {
			t.Errorf("%q: %v; program, -want +got:\n%s", test.args, err, diff)
		}
	}
}

func mustRead(t *testing.T, args ...string) *reading {
	t.Helper()
	r, err := newSources(args).read()
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return r
}

// valueOf returns a setting as it is in force.
func valueOf(r *reading, row *setting) string {
	return fmt.Sprint(reflect.ValueOf(row.field(&r.values)).Elem())
}

// examples returns two good values of a setting, written as for a flag, that are not
// its default; or one twice, if there are but two in all.
func examples(row *setting) []string {
	if row.choices != nil {
		good := slices.DeleteFunc(slices.Clone(row.choices), func(value string) bool { return value == row.byDefault })
		return append(good, good[0])
	}
	switch row.field(new(values)).(type) {
	case *bool:
		return []string{"true", "true"} // there is no third
	case *int:
		return []string{"3", "4"}
	case *byteSize:
		return []string{"7340032", "8MiB"}
	case *percentage:
		return []string{"7%", "8%"}
	case *time.Duration:
		return []string{"7s", "8s"}
	}
	return []string{"/one", "/two"}
}

// inGo writes a value as fmt does.
func inGo(row *setting, value string) string {
	switch row.field(new(values)).(type) {
	case *[]string:
		return "[" + value + "]"
	case *percentage:
		return strings.TrimSuffix(value, "%")
	case *byteSize:
		var size byteSize
		_ = size.UnmarshalText([]byte(value)) // then it is not what is wanted
		return size.String()
	}
	return value
}
