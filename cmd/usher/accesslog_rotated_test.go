package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// The access log is rotated under load, by usher logs reopen and by HUP, and the master
// upgraded in between: each request is in one of the files, once, on a whole line. When
// usher logs reopen has answered, nothing comes into the old file any more.
func TestAccessLogRotated(t *testing.T) {
	t.Parallel()
	directory := shortDir(t)
	log := filepath.Join(directory, "access")
	s := serve(t, "--workers", "2", "--app", "hello", "--access-log", log)
	if info, err := os.Stat(log); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v; want mode 0644", info, err)
	}
	v := newVisitors(t, s.address)
	stop := v.come(4)
	var files []string
	generation := 1
	rotate := func(reopen func()) (old string) {
		t.Helper()
		at := v.paths.Load()
		until(t, "some requests", func() (bool, string) { n := v.paths.Load() - at; return n > 100, fmt.Sprint(n) })
		old = fmt.Sprintf("%s.%d", log, len(files))
		if err := os.Rename(log, old); err != nil {
			t.Fatal(err)
		}
		files = append(files, old)
		reopen()
		until(t, "there is a new log", func() (bool, string) {
			_, err := os.Stat(log)
			return err == nil, fmt.Sprint(err)
		})
		return old
	}
	sizes := make(map[string]int64)
	for n := range sized(3, 10) {
		old := rotate(func() {
			if got, want := s.ask("logs", "reopen"), (result{0, "access log reopened\n", ""}); got != want {
				t.Fatalf("%+v, want %+v", got, want)
			}
		})
		sizes[old] = sizeOf(t, old)
		generation++
		rotate(func() { s.signal(unix.SIGHUP) })
		s.until("the next generation alone", func(status master.Status) bool {
			return status.Generation == generation && ready(2)(status)
		})
		if n == 0 {
			if got := s.ask("upgrade"); got.code != 0 {
				t.Errorf("usher upgrade: %+v", got)
			}
		}
	}
	stop()
	s.signal(unix.SIGTERM)
	s.ends(0)
	for file, before := range sizes {
		if now := sizeOf(t, file); now != before || now == 0 {
			t.Errorf("%s has %d bytes, and had %d when the reopening was answered", file, now, before)
		}
	}
	v.check(v.logged(append(files, log)...))
	if said := s.log.with("dropped"); len(said) > 0 {
		t.Errorf("lines were dropped: %q", said)
	}
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A reload turns the access log on, has it in another file and format, refuses one that
// cannot be opened, and turns it off.
func TestAccessLogByReload(t *testing.T) {
	t.Parallel()
	directory := shortDir(t)
	config := filepath.Join(directory, "config")
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte("app = \"hello\"\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configure("")
	s := serve(t, "--workers", "1", "--config", config)
	one, two := filepath.Join(directory, "one"), filepath.Join(directory, "two")
	v := newVisitors(t, s.address)
	v.times(1) // is in none
	first := v.paths.Load()
	reload := func(text string) {
		t.Helper()
		configure(text)
		if got := s.ask("reload"); got.code != 0 {
			t.Fatalf("%q: %+v", text, got)
		}
		v.times(5)
	}
	reload(fmt.Sprintf("access-log = %q\n", one))
	reload(fmt.Sprintf("access-log = %q\naccess-log-format = \"json\"\n", two))
	configure(fmt.Sprintf("access-log = %q\n", filepath.Join(directory, "no", "log")))
	checkComplaint(t, s.ask("reload"), exitFailed, "access-log", "no such file or directory")
	reload("")
	s.stop()
	if logged := v.logged(one); len(logged) != 5 || logged[fmt.Sprintf("/visit/%d", first+1)] != 1 {
		t.Errorf("the first file has %v", logged)
	}
	text, err := os.ReadFile(two)
	if err != nil || strings.Count(string(text), "\n") != 5 || !strings.Contains(string(text), fmt.Sprintf(`"uri":"/visit/%d"`, first+6)) {
		t.Errorf("the second file has %q, %v", text, err)
	}
}

// An access log that cannot be opened at the start is a failure, named, and so is a format
// that there is not.
func TestAccessLogCannotBeOpened(t *testing.T) {
	t.Parallel()
	directory := shortDir(t)
	for flag, reason := range map[string]string{
		"--access-log=" + filepath.Join(directory, "no", "log"): "no such file or directory",
		"--access-log=" + directory:                             "is a directory",
		"--access-log-format=xml":                               "combined",
	} {
		got := usher(t, "serve", "--listen", "127.0.0.1:0", "--control", filepath.Join(directory, "c"), flag)
		checkComplaint(t, got, exitUsage, "access-log", reason)
	}
}

// A worker that is killed takes with it what it has not written: what is in the file by then
// stays, whole, and its successor goes on.
func TestAccessLogOfAWorkerKilled(t *testing.T) {
	t.Parallel()
	log := filepath.Join(shortDir(t), "access")
	s := serve(t, "--workers", "1", "--app", "hello", "--access-log", log)
	v := newVisitors(t, s.address)
	v.times(200)
	until(t, "all are in the file", func() (bool, string) {
		n := len(v.logged(log))
		return n == 200, fmt.Sprint(n)
	})
	v.check(v.logged(log))
	ended := make(chan error)
	go func() { ended <- v.visit(func() bool { return true }) }()
	at := v.paths.Load()
	until(t, "some requests", func() (bool, string) { n := v.paths.Load() - at; return n > 50, fmt.Sprint(n) })
	dead := pids(s.now())[0]
	kill(t, dead, unix.SIGKILL)
	if err := <-ended; err == nil {
		t.Error("the dead worker goes on to answer")
	}
	s.until("another worker", func(status master.Status) bool { return ready(1)(status) && pids(status)[0] != dead })
	before := v.paths.Load()
	v.times(100)
	s.stop()
	logged := v.logged(log)
	for n := range 100 {
		if path := fmt.Sprintf("/visit/%d", before+1+int64(n)); logged[path] != 1 {
			t.Errorf("%s, of the successor, is logged %d times", path, logged[path])
		}
	}
	for path, times := range logged {
		if times != 1 {
			t.Errorf("%s is logged %d times", path, times)
		}
	}
}
