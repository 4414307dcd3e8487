package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// A flag wins over the environment, that over the file, that over the default:
// for each setting that is declared.
func TestPrecedence(t *testing.T) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "USHER_") {
			t.Setenv(name, "") // so that it is restored
			os.Unsetenv(name)
		}
	}
	defaults := mustRead(t, "serve")
	for _, flag := range defaults.context.Selected().Flags {
		if flag.Name == "help" || beforeFile[flag.Name] {
			continue
		}
		t.Run(flag.Name, func(t *testing.T) {
			initial := valueOf(t, defaults, flag.Name)
			values := examples(flag.Value)
			typed, other := values[0], values[1]
			file := filepath.Join(t.TempDir(), "usher.toml")
			write := func(value string) {
				if err := os.WriteFile(file, []byte(flag.Name+" = "+inTOML(flag.Value, value)+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			check := func(from, want string, args ...string) {
				t.Helper()
				r := mustRead(t, append([]string{"serve"}, args...)...)
				if got := valueOf(t, r, flag.Name); got != inGo(flag.Value, want) || got == initial {
					t.Errorf("%s: %s, want %s, which is not the default %s", from, got, want, initial)
				}
			}
			write(typed)
			check("file", typed, "--config", file)
			write(other)
			check("file", other, "--config", file)
			t.Setenv(flag.Envs[0], typed)
			check("environment over file", typed, "--config", file)
			check("environment", typed)
			t.Setenv(flag.Envs[0], other)
			write(other)
			check("flag over both", typed, "--config", file, "--"+flag.Name+"="+typed)
			os.Unsetenv(flag.Envs[0])
			check("flag over file", typed, "--config", file, "--"+flag.Name+"="+typed)
		})
	}
}

// The program after -- wins over the file's, which is taken as it is written.
func TestProgramPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "usher.toml")
	if err := os.WriteFile(file, []byte(`program = ["./w", "a,b", "--", "-x"]`), 0o644); err != nil {
		t.Fatal(err)
	}
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
		config, err := r.cli.Serve.Settings.config(s, r)
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
func valueOf(t *testing.T, r *reading, name string) string {
	t.Helper()
	flag := findFlag(r.context.Selected(), name)
	if flag == nil {
		t.Fatalf("no flag %s", name)
	}
	return fmt.Sprint(flag.Target.Interface())
}

// examples returns two good values of a setting that are not its default, or
// that and one more if there are but two.
func examples(setting *kong.Value) []string {
	if setting.Enum != "" {
		var good []string
		for _, value := range setting.EnumSlice() {
			if value != setting.Default {
				good = append(good, value)
			}
		}
		return append(good, good[0])
	}
	switch setting.Target.Type() {
	case reflect.TypeFor[bool]():
		return []string{"true", "true"} // there is no third
	case reflect.TypeFor[int](), reflect.TypeFor[byteSize]():
		return []string{"7", "8"}
	case reflect.TypeFor[percentage]():
		return []string{"7%", "8%"}
	case reflect.TypeFor[string](), reflect.TypeFor[[]string]():
		return []string{"/one", "/two"}
	}
	return []string{"7s", "8s"}
}

// inTOML writes a value as the file has it.
func inTOML(setting *kong.Value, value string) string {
	switch setting.Target.Type() {
	case reflect.TypeFor[int](), reflect.TypeFor[bool]():
		return value
	case reflect.TypeFor[[]string]():
		return fmt.Sprintf("[%q]", value)
	}
	return fmt.Sprintf("%q", value)
}

// inGo writes a value as fmt does.
func inGo(setting *kong.Value, value string) string {
	if setting.Target.Type() == reflect.TypeFor[[]string]() {
		return "[" + value + "]"
	}
	if setting.Target.Type() == reflect.TypeFor[percentage]() {
		return strings.TrimSuffix(value, "%")
	}
	return value
}

func TestPercentage(t *testing.T) {
	for _, test := range []struct {
		text string
		want float64 // as in master.Config; 7777: wrong
	}{
		{"1%", 1}, {"0.5%", 0.5}, {"100%", 100}, {"0%", -1},
		{"101%", 7777}, {"-1%", 7777}, {"1", 7777}, {"", 7777}, {"%", 7777}, {"NaN%", 7777}, {"one%", 7777},
	} {
		var p percentage
		err := p.UnmarshalText([]byte(test.text))
		if (err != nil) != (test.want == 7777) || err == nil && p.config() != test.want {
			t.Errorf("%q: %v, %v; want %v", test.text, p.config(), err, test.want)
		}
	}
}

func TestByteSize(t *testing.T) {
	tests := []struct {
		text string
		want byteSize // -1: wrong
	}{
		{"0", 0}, {"7", 7}, {"7B", 7}, {"2K", 2048}, {"2KiB", 2048}, {"3M", 3 << 20}, {"3MiB", 3 << 20},
		{"4G", 4 << 30}, {"4GiB", 4 << 30}, {"5TiB", 5 << 40}, {"8388607TiB", 8388607 << 40},
		{"8388608TiB", -1}, {"", -1}, {"MiB", -1}, {"1.5G", -1}, {"7X", -1}, {"7 MiB", -1}, {"7MB", -1},
	}
	for _, test := range tests {
		got := byteSize(-1)
		if err := got.UnmarshalText([]byte(test.text)); got != test.want || (err != nil) != (test.want == -1) {
			t.Errorf("%q: %d, %v; want %d", test.text, got, err, test.want)
		}
	}
}

func TestNumbersLast(t *testing.T) {
	tests := []struct{ args, want string }{
		{"scale -1", "scale -- -1"},
		{"scale -12 --control c", "scale --control c -- -12"},
		{"scale +1", "scale +1 --"},
		{"scale --control c 4", "scale --control c 4 --"},
		{"scale -- -1", "scale -- -1"},
		{"scale -1x", "scale -1x --"},
		{"serve -1", "serve -1"},
		{"", ""},
	}
	for _, test := range tests {
		if got := strings.Join(numbersLast(strings.Fields(test.args)), " "); got != test.want {
			t.Errorf("%q: %q, want %q", test.args, got, test.want)
		}
	}
}
