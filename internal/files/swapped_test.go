package files

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const secret = "secret"

// newTrap returns a site with things beside the root that nobody is to see, and functions
// that put one in the place of a file, or of a folder, of it.
func newTrap(t *testing.T) (s *site, swap map[string]func(in func(path string) error)) {
	t.Helper()
	s = newSite(t, Options{List: true})
	outside := filepath.Join(filepath.Dir(s.dir), "outside")
	must(t, os.Mkdir(outside, 0o755))
	for _, name := range []string{"a.txt", "a.txt.gz", "index.html", secret} {
		must(t, os.WriteFile(filepath.Join(outside, name), []byte(secret), 0o644))
	}
	into := func(name string) func(in func(path string) error) {
		return func(in func(path string) error) {
			fresh := filepath.Join(s.dir, ".fresh")
			must(t, in(fresh))
			path := filepath.Join(s.dir, name)
			if err := os.Rename(fresh, path); err != nil { // a folder is not replaced
				must(t, unix.Renameat2(unix.AT_FDCWD, fresh, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE))
				must(t, os.RemoveAll(fresh))
			}
		}
	}
	return s, map[string]func(in func(path string) error){"sub/a.txt": into("sub/a.txt"), "sub/a.txt.gz": into("sub/a.txt.gz"), "sub": into("sub")}
}

// traps are what takes the place of a file or folder.
var traps = []struct {
	name string
	make func(path string) error
}{
	{"a symlink out of the root", func(path string) error { return os.Symlink("../../outside/a.txt", path) }},
	{"an absolute symlink", func(path string) error {
		return os.Symlink(filepath.Join(filepath.Dir(path), "../outside/a.txt"), path)
	}},
	{"a symlink to a folder outside", func(path string) error { return os.Symlink("../outside", path) }},
	{"a FIFO", func(path string) error { return unix.Mkfifo(path, 0o644) }},
	{"a device", func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))) }}, // zero(4), without end
	{"a symlink to itself, or to nothing", func(path string) error { return os.Symlink("sub", path) }},
}

// What takes the place of a file that is served, of one beside it, or of its folder, is not
// served once the handler looks again, and does not hold it up.
func TestTrapsInThePlaceOfFiles(t *testing.T) {
	for _, trap := range traps {
		for _, place := range []string{"sub/a.txt", "sub/a.txt.gz", "sub"} {
			t.Run(trap.name+" for "+place, func(t *testing.T) {
				s, swap := newTrap(t)
				s.write("sub/a.txt", "page")
				s.write("sub/a.txt.gz", "gzipped")
				get := func() (int, string) {
					s.t.Helper()
					answer, body, _ := s.ask(request("GET", "/sub/a.txt", "Accept-Encoding: gzip"))
					return answer.StatusCode, body
				}
				if status, body := get(); status != 200 || body != "gzipped" {
					t.Fatalf("at first: %d, %q", status, body)
				}
				swap[place](func(path string) error {
					err := trap.make(path)
					if os.IsPermission(err) {
						t.Skip("this user cannot make it")
					}
					return err
				})
				s.now += maxAge
				status, body := get()
				if place == "sub/a.txt.gz" && (status != 200 || body != "page") || place != "sub/a.txt.gz" && status != 404 {
					t.Errorf("%d, %q", status, body)
				}
				if answer, body, _ := s.ask(request("GET", "/sub/")); strings.Contains(body, secret) || place == "sub" && answer.StatusCode != 404 {
					t.Errorf("the folder: %d, %q", answer.StatusCode, body)
				}
			})
		}
	}
}

// While all of that takes the place of each other, whoever asks gets a page or is told that
// there is none, and gets it: nobody waits for a FIFO.
func TestTrapsWhileTheyAreServed(t *testing.T) {
	s, swap := newTrap(t)
	start := time.Now()
	s.clock = func() time.Duration { return 10_000 * time.Since(start) } // every request looks at the disk
	file := func(path string) error { return os.WriteFile(path, []byte("page"), 0o644) }
	folder := func(path string) error {
		if err := os.Mkdir(path, 0o755); err != nil {
			return err
		}
		return file(filepath.Join(path, "a.txt"))
	}
	s.write("sub/a.txt", "page")
	done := make(chan bool)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for over := false; !over; {
				select {
				case <-done:
					over = true // once more
				default:
				}
				for _, path := range []string{"/sub/a.txt", "/sub/", "/sub"} {
					w, r := httptest.NewRecorder(), request("GET", path, "Accept-Encoding: gzip")
					if !s.ServeInline(w, r) {
						s.ServeHTTP(w, r)
					}
					body := w.Body.String()
					if strings.Contains(body, secret) || path == "/sub/a.txt" && w.Code == 200 && body != "page" {
						t.Errorf("%s: %d, %q", path, w.Code, body)
						return
					}
				}
			}
		})
	}
	for range 30 {
		for _, trap := range traps {
			if trap.name == "a device" {
				continue // not every user can make one
			}
			swap["sub"](trap.make)
			swap["sub"](folder)
			swap["sub/a.txt"](trap.make)
			swap["sub/a.txt"](file)
		}
	}
	close(done)
	ended := make(chan bool)
	go func() { defer close(ended); all.Wait() }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("somebody waits for ever")
	}
}
