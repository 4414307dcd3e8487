package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// completed are what shells complete, the last of the words being what is typed: all that
// there is, or behind a … only some of it.
var completed = []struct{ typed, want string }{
	{"usher sta", "stacks status"},
	{"usher ", "… serve status completion bench tls"},
	{"usher bench ", "echo http lines"},
	{"usher bench h", "http"},
	{"usher tls s", "self-signed"},
	{"usher serve --dispatch ", "hash least queue round-robin"},
	{"usher check --dispatch l", "least"},
	{"usher serve --list --app ", "echo files hello lines"},
	{"usher serve --access-log-f", "--access-log-format"},
	{"usher status --w", "--watch"},
	{"usher status --control x --in", "--interval"},
	{"usher profile ", "cpu heap trace"},
	{"usher profile cpu ", "master"},
	{"usher profile --seconds 3 cpu ", "master"},
	{"usher log-level --worker 2 d", "debug default"},
	{"usher completion ", "bash fish zsh"},
	{"usher help sign", "signals"},
	{"usher help drain", "drain drain-timeout"},
	{"usher stop ", ""},
	{"usher scale --js", "--json"},
	{"usher bench echo --no-", "--no-resume"},
}

// completionScript writes the script for a shell, and a file to complete the name of.
func completionScript(t *testing.T, shell string) (folder, script string) {
	t.Helper()
	got := usher(t, "completion", shell)
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	folder = t.TempDir()
	script = filepath.Join(folder, "script")
	writeFile(t, script, got.stdout)
	writeFile(t, filepath.Join(folder, "usher.toml"), "")
	return folder, script
}

// shellPath returns a shell, or skips the test.
func shellPath(t *testing.T, shell string) string {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Skipf("there is no %s here", shell)
	}
	return path
}

func checkCompleted(t *testing.T, typed, want string, got []string) {
	t.Helper()
	slices.Sort(got)
	want, some := strings.CutPrefix(want, "…")
	for _, word := range strings.Fields(want) {
		if !slices.Contains(got, word) {
			t.Errorf("%q: no %s in %q", typed, word, got)
		}
	}
	if !some && strings.Join(got, " ") != want {
		t.Errorf("%q: %q, want %q", typed, got, want)
	}
}

// bash sources the script, and its function completes.
func TestCompletionInBash(t *testing.T) {
	t.Parallel()
	bash := shellPath(t, "bash")
	folder, script := completionScript(t, "bash")
	complete := func(words ...string) []string {
		t.Helper()
		const driver = `. "$1" || exit; shift
[[ $(complete -p usher) == 'complete -F _usher usher' ]] || exit
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_usher usher "${COMP_WORDS[COMP_CWORD]}" || true
printf '%s\n' "${COMPREPLY[@]}"`
		cmd := exec.Command(bash, append([]string{"--norc", "-u", "-c", driver, "bash", script}, words...)...)
		cmd.Dir = folder
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", words, err, out)
		}
		return strings.Fields(string(out))
	}
	for _, test := range completed {
		checkCompleted(t, test.typed, test.want, complete(strings.Split(test.typed, " ")...))
	}
	// bash itself parts words at each =.
	checkCompleted(t, "--app=", "echo files hello lines", complete("usher", "serve", "--app", "="))
	checkCompleted(t, "--app=h", "hello", complete("usher", "serve", "--app", "=", "h"))
	checkCompleted(t, "--app=hello --over", "--overload", complete("usher", "serve", "--app", "=", "hello", "--over"))
	checkCompleted(t, "--config=u", "usher.toml", complete("usher", "serve", "--config", "=", "u"))
	checkCompleted(t, "-o u", "usher.toml", complete("usher", "profile", "heap", "0", "-o", "u"))
	checkCompleted(t, "-- u", "usher.toml", complete("usher", "serve", "--", "u"))
	checkCompleted(t, "-- x --config u", "usher.toml", complete("usher", "serve", "--", "x", "--config", "u"))
	checkCompleted(t, "self-signed u", "usher.toml", complete("usher", "tls", "self-signed", "u"))
}

// fish completes what is typed, and says what it means.
func TestCompletionInFish(t *testing.T) {
	t.Parallel()
	fish := shellPath(t, "fish")
	folder, script := completionScript(t, "fish")
	complete := func(typed string) (words []string) {
		t.Helper()
		cmd := exec.Command(fish, "--no-config", "-c", "source script; complete -C $argv[1]", typed)
		cmd.Dir = filepath.Dir(script)
		cmd.Env = append(os.Environ(), "HOME="+folder)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", typed, err, out)
		}
		for line := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			words = append(words, word)
		}
		return words
	}
	for _, test := range completed {
		checkCompleted(t, test.typed, test.want, complete(test.typed))
	}
	checkCompleted(t, "--app=h", "--app=hello", complete("usher serve --app=h"))
	for _, typed := range []string{"usher serve --config u", "usher profile heap 0 -o u", "usher serve -- u", "usher tls self-signed u"} {
		checkCompleted(t, typed, "usher.toml", complete(typed))
	}
}

// Who types in a terminal gets what was meant, in each shell.
func TestCompletionTyped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		shell string
		args  []string
		start string // what is typed first
	}{
		{"bash", []string{"--norc", "--noprofile", "-i"}, `usher() { printf '<%s>\n' "$*"; }; . ./script`},
		{"zsh", []string{"-f", "-i"}, `usher() { printf '<%s>\n' "$*"; }; autoload -Uz compinit; compinit -u -D; . ./script`},
		{"zsh", []string{"-f", "-i"}, `usher() { printf '<%s>\n' "$*"; }; mkdir f; cp script f/_usher; fpath=(f $fpath); autoload -Uz compinit; compinit -u -D`},
		{"fish", []string{"--no-config", "-i"}, `function usher; printf '<%s>\n' "$argv"; end; source script`},
	} {
		t.Run(test.shell, func(t *testing.T) {
			path := shellPath(t, test.shell)
			folder, _ := completionScript(t, test.shell)
			term := openTerminal(t, 0)
			if _, err := onDescriptor(term.program, func(fd int) (int, error) {
				return 0, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 200})
			}); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(path, test.args...)
			cmd.Dir = folder
			cmd.Env = append(os.Environ(), "HOME="+folder, "TERM=xterm", "LC_ALL=C.UTF-8")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = term.program, term.program, term.program
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			_ = term.program.Close() // the shell has it
			t.Cleanup(func() {
				_ = cmd.Process.Kill() // it may have ended
				_ = cmd.Wait()         // killed, or not
			})
			shows := func(what, want string) {
				t.Helper()
				until(t, what, func() (bool, string) {
					text := strings.Join(term.shown.all(), "\n")
					return strings.Contains(strings.ReplaceAll(text, "=", " "), want), text // zsh adds the =
				})
			}
			_, _ = term.screen.WriteString(test.start + "; usher is 'the''re'\n") // a terminal takes it
			shows("the shell", "<is there>")
			for _, line := range []struct{ typed, want string }{
				{"usher ser\t--overl\tcl\t--conf\tush\t", "<serve --overload close --config usher.toml>"},
				{"usher bench ht\t--js\t", "<bench http --json>"},
				{"usher stat\t--wat\t", "<status --watch>"},
				{"usher serve --app=hel\t--access-log-for\tjs\t", "<serve --app hello --access-log-format json>"},
			} {
				_, _ = term.screen.WriteString(line.typed + "\n")
				shows(line.typed, line.want)
			}
			_, _ = term.screen.WriteString("exit\n")
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Whatever there is to choose from is one word of every shell.
func TestCompletedWordsAreWords(t *testing.T) {
	t.Parallel()
	for shell, function := range map[string]string{"bash": "complete -F", "zsh": "#compdef usher", "fish": "complete -c usher"} {
		got := usher(t, "completion", shell)
		for _, want := range []string{function, "--tls-cert", "self-signed", "round-robin"} {
			if shell == "fish" {
				want = strings.TrimPrefix(want, "--")
			}
			if !strings.Contains(got.stdout, want) {
				t.Errorf("%s: no %q", shell, want)
			}
		}
		for _, hidden := range []string{"bench-part", "MISSING", "EXTRA"} {
			if strings.Contains(got.stdout, hidden) {
				t.Errorf("%s: it has %s", shell, hidden)
			}
		}
	}
	for _, args := range [][]string{{"completion"}, {"completion", "csh"}} {
		checkComplaint(t, usher(t, args...), exitUsage, "shell")
	}
}
