package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The worker program does not get ready at the first start: serve ends, and
// its last words say why. Where that can be told without starting it, check says so.
func TestProgramFails(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("not a program"), 0o644); err != nil {
		t.Fatal(err)
	}
	script(t, filepath.Join(dir, "bare"), "echo no first line\n")
	script(t, filepath.Join(dir, "crashing"), "#!/bin/sh\nexec >&2\necho the cause\nseq 99\nexit 2\n")
	missing := filepath.Join(dir, "missing")
	for name, text := range map[string]string{
		"interpreter": "#! " + missing + " -u\n", "plain-interpreter": "#!" + plain + "\n", "crlf": "#!/bin/sh\r\nexit 0\r\n",
		"mark": "\xef\xbb\xbf#!/bin/sh\n", "empty": "", "foreign": "\x7fELF and of another machine",
	} {
		script(t, filepath.Join(dir, name), text)
	}
	config := filepath.Join(dir, "usher.toml")
	if err := os.WriteFile(config, []byte("workers = 1\nprogram = [\""+missing+"\"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	script(t, filepath.Join(dir, "here-alone-of-usher"), "#!/bin/sh\n")
	tests := []struct {
		name  string
		args  []string
		want  []string
		ahead string // what check says; empty: it has nothing to say
	}{
		{"does not exist", []string{"--", missing}, []string{"start " + missing, "no such file or directory", "check the path after --"}, "no such file or directory"},
		{"does not exist, in the file", []string{"--config", config}, []string{"start " + missing, "no such file or directory", "check program at " + config + ":2"}, config + ":2: program: exec: "},
		{"has no interpreter", []string{"--", filepath.Join(dir, "interpreter")}, []string{"no such file or directory; the interpreter after #!, " + missing + ", is not there"}, "no such file or directory; the interpreter after #!, " + missing + ", is not there"},
		{"has one that is none", []string{"--", filepath.Join(dir, "plain-interpreter")}, []string{"permission denied; it is executable; is its interpreter after #!, " + plain + "?"}, "permission denied; it is executable; is its interpreter after #!, " + plain + "?"},
		{"has CR LF", []string{"--", filepath.Join(dir, "crlf")}, []string{"no such file or directory; its first line ends with CR LF", `"/bin/sh\r"`}, "no such file or directory; its first line ends with CR LF"},
		{"has a byte order mark", []string{"--", filepath.Join(dir, "mark")}, []string{"exec format error; there is a byte order mark before its #!"}, "exec format error; there is a byte order mark before its #!"},
		{"is empty", []string{"--", filepath.Join(dir, "empty")}, []string{"exec format error; the file is empty"}, "exec format error; the file is empty"},
		{"is of another machine", []string{"--", filepath.Join(dir, "foreign")}, []string{"exec format error; it is built for another machine"}, "exec format error; it is built for another machine"},
		{"is not in PATH", []string{"--", "no-such-program-of-usher"}, []string{"no-such-program-of-usher", "not found", "check the path after --"}, "not found"},
		{"is not in PATH, but here", []string{"--directory", dir, "--", "here-alone-of-usher"}, []string{"not found", "did you mean ./here-alone-of-usher?"}, "did you mean ./here-alone-of-usher?"},
		{"is a directory", []string{"--", dir}, []string{"start " + dir, "is a directory", "executable file"}, "is a directory"},
		{"is not executable", []string{"--", plain}, []string{"start " + plain, "permission denied", "executable file"}, "permission denied"},
		{"has no first line", []string{"--", filepath.Join(dir, "bare")}, []string{"exec format error", "#!"}, "exec format error; a script needs a #! line"},
		{"ends at once", []string{"--", self(), "worker-failing"},
			[]string{"exit status 7", "its last words:\nfirst of my last words\ncannot open the database"}, ""},
		{"crashes with a long stack", []string{"--", filepath.Join(dir, "crashing")},
			[]string{"exit status 2", "its last words:\nthe cause\n1\n", "9\n(lines left out here: 70)\n80\n", "\n99"}, ""},
		{"never gets ready", []string{"--boot-timeout", "200ms", "--", self(), "worker-mute"}, []string{"was killed: not ready within 200ms (boot-timeout): a worker of usher has to say that it is; it wrote nothing"}, ""},
		{"is no worker", []string{"--", "/bin/true"}, []string{"exit status 0, before it was ready: a worker of usher has to say that it is, and to stay"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			control := filepath.Join(shortDir(t), "c")
			got := usher(t, append([]string{"serve", "--control", control, "--listen", "127.0.0.1:0"}, test.args...)...)
			if got.code != exitWorkers || got.stdout != "" {
				t.Errorf("exit status %d, standard output %q; want %d and nothing", got.code, got.stdout, exitWorkers)
			}
			// The log comes before; the report is the end.
			_, report, found := strings.Cut(got.stderr, "\nusher: ")
			if !found || !strings.HasPrefix(report, "the workers would not start: ") {
				t.Fatalf("standard error has no line that says that the workers would not start:\n%s", got.stderr)
			}
			for _, part := range test.want {
				if !strings.Contains(report, part) {
					t.Errorf("it does not say %q:\n%s", part, report)
				}
			}
			if _, err := os.Lstat(control); err == nil {
				t.Error("the control socket is left")
			}
			ahead := usher(t, append([]string{"check", "--control", control, "--listen", "127.0.0.1:0"}, test.args...)...)
			if test.ahead != "" {
				checkComplaint(t, ahead, exitUsage, "program: ", test.ahead)
			} else if ahead.code != 0 {
				t.Errorf("check: exit status %d, %s", ahead.code, ahead.stderr)
			}
		})
	}
}

// A built-in app is in the file of the command: where that is gone no other path is
// to be checked.
func TestOwnProgramFails(t *testing.T) {
	t.Parallel()
	p := install(t)
	s := p.serve("--workers", "1")
	if err := os.Remove(p.path); err != nil {
		t.Fatal(err)
	}
	checkComplaint(t, s.ask("reload"), exitFailed, "start "+p.path, "no such file", "check usher's own file", "echo")
	checkComplaint(t, s.ask("upgrade"), exitFailed, p.path, "no such file", "check the path by which this program was started")
	s.signal(unix.SIGTERM)
	s.ends(0)
}
