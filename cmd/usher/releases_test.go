package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// releases are folders, each with a configuration and a program, and a symlink that
// says which one is current.
type releases struct {
	t       *testing.T
	folder  string // without symlinks
	current string
	file    *program
}

func newReleases(t *testing.T) *releases {
	t.Helper()
	folder, err := filepath.EvalSymlinks(shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	r := &releases{t: t, folder: folder, current: filepath.Join(folder, "current"), file: install(t)}
	for n := 1; n <= 4; n++ {
		if err := os.Mkdir(r.release(n), 0o755); err != nil {
			t.Fatal(err)
		}
		script(t, filepath.Join(r.release(n), "app"), fmt.Sprintf("#!/bin/sh\necho program of %d in $(pwd -P), PWD=$PWD >&2\nexec '%s' worker lines\n", n, self()))
		text := fmt.Sprintf("program = [\"./app\"]\nworkers = 1\nmax-conns = %d\nlisten = [\"127.0.0.1:0\"]\n", 100+n)
		if err := os.WriteFile(filepath.Join(r.release(n), "usher.toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.swap(1)
	return r
}

func (r *releases) release(n int) string { return filepath.Join(r.folder, fmt.Sprint("release", n)) }

// swap makes a release the current one.
func (r *releases) swap(n int) {
	r.t.Helper()
	err := os.Symlink(filepath.Base(r.release(n)), r.current+".new")
	if err := errors.Join(err, os.Rename(r.current+".new", r.current)); err != nil {
		r.t.Fatal(err)
	}
}

// command is one that is started in a folder by the name that pwd has.
func (r *releases) command(folder, pwd string, args ...string) (*exec.Cmd, string) {
	cmd, mark := r.file.command()
	cmd.Dir = folder
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "PWD=") })
	if pwd != "" {
		cmd.Env = append(cmd.Env, "PWD="+pwd)
	}
	cmd.Args = append(cmd.Args, args...)
	return cmd, mark
}

func (r *releases) serve(control, folder, pwd string, args ...string) *server {
	r.t.Helper()
	cmd, mark := r.command(folder, pwd, append([]string{"serve", "--config", "usher.toml"}, args...)...)
	s := launchAs(r.t, cmd, mark, control)
	s.awaitStart()
	return s
}

// runs waits for the n-th worker of a release.
func (r *releases) runs(s *server, release, n int) {
	r.t.Helper()
	s.log.await(r.t, n, fmt.Sprintf("program of %d in %s, PWD=%s", release, r.release(release), r.release(release)))
}

// A swap and HUP: configuration, program and working directory are of the new
// release, at once or after an upgrade; what was there once stays where it was; and
// a worker that crashes between swap and HUP is of the old one.
func TestReleasesBySymlink(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pwd      func(r *releases) string
		flags    func(r *releases) []string
		variable func(r *releases) string
		says     string
	}{
		"PWD":            {pwd: func(r *releases) string { return r.current }, says: "$PWD"},
		"flag":           {flags: func(r *releases) []string { return []string{"--directory", r.current} }, says: "--directory"},
		"flag, relative": {flags: func(r *releases) []string { return []string{"--directory", "current"} }, says: "--directory"},
		"environment":    {variable: func(r *releases) string { return "USHER_DIRECTORY=" + r.current }, says: "--directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReleases(t)
			folder, pwd := r.folder, ""
			if test.pwd != nil {
				folder, pwd = r.current, test.pwd(r)
			}
			args := []string{"serve", "--config", "usher.toml", "--control", "c", "--pid-file", "pid", "--log-file", "log", "--log-level", "debug"}
			if test.flags != nil {
				args = append(args, test.flags(r)...)
			}
			cmd, mark := r.command(folder, pwd, args...)
			if test.variable != nil {
				cmd.Env = append(cmd.Env, test.variable(r))
			}
			control := filepath.Join(r.release(1), "c")
			s := launchAs(t, cmd, mark, control)
			s.awaitStart()
			log := logOf{t, filepath.Join(r.release(1), "log")}
			log.await("relative paths count from: path="+r.current, test.says)
			runs := func(release, times int) {
				t.Helper()
				want := fmt.Sprintf("program of %d in %s, PWD=%s\"", release, r.release(release), r.release(release))
				for range times {
					log.await(want)
				}
			}
			runs(1, 1)
			r.swap(2)
			s.successor()
			log.has(fmt.Sprintf("program of 1 in %s", r.release(1)), 3) // each says it again when it dies
			s.reload()
			runs(2, 1)
			r.swap(3)
			if got := s.ask("upgrade"); got.code != 0 {
				t.Fatalf("%+v", got)
			}
			s.successor()
			if n := strings.Count(log.text(), "program of 3"); n != 0 {
				t.Error("an upgrade takes the next release, without a reload")
			}
			s.reload()
			runs(3, 1)
			r.swap(4)
			if err := os.RemoveAll(r.release(3)); err != nil {
				t.Fatal(err)
			}
			s.reload()
			runs(4, 1)
			if pid, err := os.ReadFile(filepath.Join(r.release(1), "pid")); err != nil || strings.TrimSpace(string(pid)) != fmt.Sprint(s.pid) {
				t.Errorf("pid file %q, %v; want it where it was made", pid, err)
			}
			s.stop()
		})
	}
}

// logOf is a log file.
type logOf struct {
	t    *testing.T
	path string
}

func (l logOf) text() string {
	l.t.Helper()
	text, err := os.ReadFile(l.path)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

// await waits for a line with all of the parts.
func (l logOf) await(parts ...string) {
	l.t.Helper()
	until(l.t, fmt.Sprintf("%q in the log", parts), func() (bool, string) {
		text := l.text()
		for line := range strings.Lines(text) {
			if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) }) {
				return true, ""
			}
		}
		return false, text
	})
}

// has waits until something is in the log so many times.
func (l logOf) has(part string, times int) {
	l.t.Helper()
	until(l.t, fmt.Sprintf("%d times %q in the log", times, part), func() (bool, string) {
		text := l.text()
		return strings.Count(text, part) == times, text
	})
}

// Without a name for the folder it is the folder itself that counts, which the log
// says: a swap is not seen.
func TestReleaseWithoutAName(t *testing.T) {
	t.Parallel()
	r := newReleases(t)
	control := filepath.Join(r.folder, "c")
	s := r.serve(control, r.current, r.release(2), "--control", control)
	s.log.await(t, 1, "relative paths count from: path="+r.release(1), "getcwd(2), since $PWD does not name it")
	r.runs(s, 1, 1)
	r.swap(2)
	s.reload()
	r.runs(s, 1, 2)
	s.stop()
}

// What --directory names is to be a folder, at the start and at each reload, and a
// file cannot say it.
func TestDirectoryIsNone(t *testing.T) {
	t.Parallel()
	r := newReleases(t)
	for path, want := range map[string]string{r.current + ".none": "no such file", filepath.Join(r.release(1), "app"): "is not a folder"} {
		for _, command := range []string{"serve", "check"} {
			checkComplaint(t, usher(t, command, "--directory", path), exitUsage, "directory "+path, want)
		}
	}
	control := filepath.Join(r.folder, "c")
	s := r.serve(control, r.folder, "", "--control", control, "--directory", r.current)
	if err := os.Remove(r.current); err != nil {
		t.Fatal(err)
	}
	s.refusesReload("directory "+r.current, "no such file")
	r.swap(2)
	s.reload()
	r.runs(s, 2, 1)
	s.until("one worker", func(status master.Status) bool { return ready(1)(status) })
	s.stop()

	path := filepath.Join(r.folder, "other.toml")
	if err := os.WriteFile(path, []byte("directory = \"/\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	checkComplaint(t, usher(t, "check", "--config", path), exitUsage, path+":1: ", `unknown key "directory"`)
}

// The folder of the start may be gone, if nothing is relative to it: an old release
// is removed while it is served.
func TestReloadWithoutTheFolderOfTheStart(t *testing.T) {
	t.Parallel()
	r := newReleases(t)
	gone := filepath.Join(r.folder, "gone")
	if err := os.Mkdir(gone, 0o755); err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(r.folder, "c")
	cmd, mark := r.command(gone, gone, "serve", "--listen", "127.0.0.1:0", "--workers", "1", "--control", control, "--", self(), "worker", "lines")
	s := launchAs(t, cmd, mark, control)
	s.awaitStart()
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	s.successor()
	if got := s.ask("upgrade"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	s.successor()
	s.reload()
	if got := s.ask("upgrade"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	s.reload()
	s.signal(unix.SIGTERM) // at rest it has a descriptor less: that of the folder
	s.ends(0)
}

func TestOriginIsHandedOn(t *testing.T) {
	o := origin{"/srv/current", "/srv/releases/1"}
	for _, text := range [][]byte{nil, []byte("workers = 1\n")} {
		if got, gotText := unpack(o.pack(text)); got != o || string(gotText) != string(text) || (gotText == nil) != (text == nil) {
			t.Errorf("%+v %q, want %+v %q", got, gotText, o, text)
		}
	}
	if got, text := unpack([]byte("workers = 1\n")); got != (origin{}) || string(text) != "workers = 1\n" {
		t.Errorf("%+v %q, want the text alone", got, text)
	}
}
