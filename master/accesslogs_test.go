package master

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// inode returns what file is at a path.
func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		t.Fatal(path, err)
	}
	return stat.Ino
}

// accessStory runs a story of a master with an access log at a path, and two workers.
func accessStory(t *testing.T, path string, change func(fm *fakeMaster), story func(fm *fakeMaster)) {
	leaktest.Descriptors(t)
	synctest.Test(t, func(t *testing.T) {
		fm := &fakeMaster{moves: true, workers: 2}
		if change != nil {
			change(fm)
		}
		fm.start(8, func(c *Config) { c.AccessLog = path })
		synctest.Wait()
		story(fm)
		fm.look(func() { fm.stop(stopQuick) })
		if err := errors.Join(<-fm.ended, fm.check()); err != nil {
			t.Error(err)
		}
	})
}

// askReopen asks as usher logs reopen does, and returns the answer.
func askReopen(fm *fakeMaster) logsAnswer {
	answer := make(chan logsAnswer, 1)
	fm.inbox.Put(logsRequest{answer})
	return <-answer
}

// told returns what each live worker, by pid, was told of the access log last, and how often.
func accessTold(fm *fakeMaster) (inodes []uint64, formats []string, times []int) {
	fm.look(func() {
		var pids []int
		for pid := range fm.live {
			pids = append(pids, pid)
		}
		slices.Sort(pids)
		for _, pid := range pids {
			w := fm.live[pid]
			times = append(times, len(w.accessLogs))
			if n := len(w.accessLogs); n > 0 {
				inodes, formats = append(inodes, w.accessFiles[n-1]), append(formats, w.accessLogs[n-1].Format)
			}
		}
	})
	return inodes, formats, times
}

// Workers get the file when they are ready, and again when it was reopened; the answer says
// that they have it.
func TestAccessLogIsGivenAndReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	accessStory(t, path, nil, func(fm *fakeMaster) {
		first := inode(t, path)
		if inodes, formats, _ := accessTold(fm); !slices.Equal(inodes, []uint64{first, first}) || !slices.Equal(formats, []string{"combined", "combined"}) {
			t.Fatalf("%v in %q, want twice %d", inodes, formats, first)
		}
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		if said := askReopen(fm); said != (logsAnswer{AccessLog: true}) {
			t.Errorf("%+v", said)
		}
		second := inode(t, path)
		if inodes, _, times := accessTold(fm); second == first || !slices.Equal(inodes, []uint64{second, second}) || !slices.Equal(times, []int{2, 2}) {
			t.Errorf("%v, %v times, want twice %d", inodes, times, second)
		}
	})
}

// A worker that does not answer is named, and the old file stays where a new one cannot be
// opened.
func TestAccessLogIsNotReopened(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	accessStory(t, filepath.Join(folder, "log"), nil, func(fm *fakeMaster) {
		fm.look(func() {
			for _, w := range fm.live {
				w.deaf = w.spec.Slot == 1
			}
		})
		if said := askReopen(fm); said.err == nil || !strings.Contains(said.err.Error(), "slots [1] have not answered within 2s") {
			t.Errorf("%+v", said)
		}
		fm.look(func() {
			for _, w := range fm.live {
				w.deaf = false
			}
		})
		if said := askReopen(fm); said != (logsAnswer{AccessLog: true}) {
			t.Errorf("%+v", said)
		}
		if err := os.Rename(folder, folder+".moved"); err != nil {
			t.Fatal(err)
		}
		if said := askReopen(fm); !errors.Is(said.err, os.ErrNotExist) || !strings.Contains(said.err.Error(), "the old one stays") {
			t.Errorf("%+v", said)
		}
	})
}

// A file that is open only when the supervisor has ended is closed: nobody has it.
func TestAccessLogReopenedTooLate(t *testing.T) {
	leaktest.Descriptors(t)
	path := filepath.Join(t.TempDir(), "log")
	synctest.Test(t, func(t *testing.T) {
		fm := &fakeMaster{moves: true, workers: 2}
		slow := make(chan struct{})
		fm.start(8, func(c *Config) {
			c.AccessLog, c.ReopenLogs = path, func() error { <-slow; return nil }
		})
		synctest.Wait()
		fm.inbox.Put(logsRequest{make(chan logsAnswer, 1)})
		synctest.Wait() // it is under way
		fm.look(func() { fm.stop(stopQuick) })
		if err := errors.Join(<-fm.ended, fm.check()); err != nil {
			t.Error(err)
		}
		close(slow)
	})
}

// Without a file to open there is nothing to reopen.
func TestAccessLogOnStandardOutput(t *testing.T) {
	for _, path := range []string{"", StandardOutput} {
		accessStory(t, path, nil, func(fm *fakeMaster) {
			if said := askReopen(fm); said.err != errNoLogs {
				t.Errorf("%+v", said)
			}
		})
	}
}

// A program that writes none is told nothing.
func TestAccessLogOfOtherPrograms(t *testing.T) {
	accessStory(t, filepath.Join(t.TempDir(), "log"), func(fm *fakeMaster) { fm.noAccess = true }, func(fm *fakeMaster) {
		if said := askReopen(fm); said != (logsAnswer{AccessLog: true}) {
			t.Errorf("%+v", said)
		}
		if _, _, times := accessTold(fm); !slices.Equal(times, []int{0, 0}) {
			t.Errorf("told %v times", times)
		}
	})
}

// A reload turns it on, has it in another format or file, and turns it off.
func TestAccessLogChangesByReload(t *testing.T) {
	folder := t.TempDir()
	accessStory(t, "", nil, func(fm *fakeMaster) {
		for _, test := range []struct{ path, format string }{
			{filepath.Join(folder, "one"), ""}, {filepath.Join(folder, "one"), AccessJSON}, {filepath.Join(folder, "two"), AccessJSON}, {"", ""},
		} {
			fm.look(func() {
				fm.rewrite = func(c *Config) { c.AccessLog, c.AccessLogFormat = test.path, test.format }
			})
			done := make(chan outcome, 1)
			fm.inbox.Put(reloadRequest{done})
			if o := <-done; o.err != nil {
				t.Fatal(o.err)
			}
			fm.look(func() {
				if len(fm.access.open) > 1 {
					t.Errorf("%d files are open", len(fm.access.open))
				}
				for _, w := range fm.live {
					named, last := w.spec.Hello.AccessLog, ipc.AccessLog{}
					if n := len(w.accessLogs); n > 0 {
						last = w.accessLogs[n-1]
					}
					if want := fm.config.access.formatName(); named != want || last.Format != want {
						t.Errorf("%+v: hello says %q, then %+v; want %q", test, named, last, want)
					}
				}
			})
		}
		bad := filepath.Join(folder, "no", "log")
		fm.look(func() { fm.rewrite = func(c *Config) { c.AccessLog = bad } })
		done := make(chan outcome, 1)
		fm.inbox.Put(reloadRequest{done})
		if o := <-done; !errors.Is(o.err, ErrConfig) || !strings.Contains(o.err.Error(), "access-log: open "+bad) {
			t.Errorf("%v", o.err)
		}
	})
}
