package master

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// patience bounds every wait of a test for an event.
const patience = 20 * time.Second

// gate is an output that takes nothing while it is shut.
type gate struct {
	shut sync.Mutex

	mu   sync.Mutex
	text strings.Builder
}

func (g *gate) Write(b []byte) (int, error) {
	g.shut.Lock()
	defer g.shut.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(b)
}

func (g *gate) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.String()
}

// A log that nobody reads holds nobody up, and when it is read again it says, in
// its own format, where lines are missing and how many.
func TestLogWriterNobodyReads(t *testing.T) {
	for name, test := range map[string]struct {
		json  bool
		count func(line string) int
	}{
		"text": {false, func(line string) int {
			_, count, _ := strings.Cut(line, "[WARN]  usher: log lines are missing: count=")
			n, _ := strconv.Atoi(count)
			return n
		}},
		"json": {true, func(line string) int {
			var m struct {
				Level   string `json:"@level"`
				Module  string `json:"@module"`
				Message string `json:"@message"`
				Count   int
			}
			if err := json.Unmarshal([]byte(line), &m); err != nil || m.Message != "log lines are missing" || m.Level != "warn" || m.Module != "usher" {
				return 0
			}
			return m.Count
		}},
	} {
		t.Run(name, func(t *testing.T) {
			const lines = 20_000
			var to gate
			out := NewLogWriter(&to)
			log := out.Logger(hclog.LoggerOptions{Name: "usher", Level: hclog.Error, JSONFormat: test.json})
			to.shut.Lock()
			for i := range lines {
				log.Error("line", "number", i, "text", strings.Repeat("x", 100))
			}
			to.shut.Unlock()
			if !out.Flush(patience) {
				t.Fatalf("not written within %v", patience)
			}
			log.Error("it goes on", "number", lines)
			out.Flush(patience)

			next := 0
			for line := range strings.Lines(to.String()) {
				if count := test.count(strings.TrimSpace(line)); count > 0 {
					next += count
				} else if number := `number=` + strconv.Itoa(next); !strings.Contains(strings.NewReplacer(`"`, "", ":", "=").Replace(line), number) {
					t.Fatalf("%q, want %s or how many are missing", line, number)
				} else {
					next++
				}
			}
			if next != lines+1 {
				t.Errorf("%d lines are there or counted as missing, want %d", next, lines+1)
			}
			if most := maxQueuedLog + 1<<16; len(to.String()) > most { // what is queued, and a batch that was under way
				t.Errorf("%d bytes were kept, want at most %d", len(to.String()), most)
			}
		})
	}
}

// fickle is an output that takes all, a part or nothing, as it is told.
type fickle struct {
	text strings.Builder
	take func(b []byte) (n int, err error)
}

func (f *fickle) Write(b []byte) (int, error) {
	n, err := f.take(b)
	f.text.Write(b[:n])
	return n, err
}

var wholeLine = regexp.MustCompile(`^(?:line (\d+) x*\.|(\d+) lines are missing)$`)

// Whatever the output takes and whenever: lines are there whole and in order, and
// of the others there is one message in their place that has their number.
func TestLogWriterAccounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// What becomes of each call, in percent of what it brings; negative: an error.
		fates := rapid.SliceOf(rapid.IntRange(-100, 100)).Draw(t, "fates")
		sizes := rapid.SliceOf(rapid.SampledFrom([]int{0, 10, 1000, atomicWrite, maxQueuedLog / 3})).Draw(t, "sizes")
		flushes := rapid.SliceOf(rapid.IntRange(1, 10)).Draw(t, "flushes") // after so many lines
		tries := len(fates) + 1
		to := fickle{take: func(b []byte) (n int, err error) {
			if len(fates) == 0 {
				return len(b), nil
			}
			fate := fates[0]
			fates = fates[1:]
			if fate < 0 {
				return (len(b) - 1) * (fate + 100) / 100, unix.ENOSPC
			}
			return len(b) * fate / 100, nil // which a Writer must not, but may
		}}
		out := NewLogWriter(&to)
		due := 0
		for i, size := range sizes {
			if i == due && len(flushes) > 0 {
				out.Flush(patience)
				due += flushes[0]
				flushes = flushes[1:]
			}
			fmt.Fprintf(out, "line %d %s.\n", i, strings.Repeat("x", size))
		}
		for range tries {
			if !out.Flush(patience) {
				t.Fatalf("not written within %v", patience)
			}
		}
		next := 0
		for line := range strings.Lines(to.text.String()) {
			switch match := wholeLine.FindStringSubmatch(strings.TrimSuffix(line, "\n")); {
			case match == nil: // the part of one that is counted
			case match[1] != "":
				if match[1] != strconv.Itoa(next) {
					t.Fatalf("line %s, want %d", match[1], next)
				}
				next++
			default:
				count, _ := strconv.Atoi(match[2])
				next += count
			}
		}
		if next != len(sizes) || out.missing != 0 || out.waiting != 0 || out.size != 0 {
			t.Fatalf("%d of %d lines accounted for; missing %d, waiting %d in %d bytes", next, len(sizes), out.missing, out.waiting, out.size)
		}
	})
}

// The end of a process waits for a log that is stuck as long as it says, and for
// one that is not no longer than it takes.
func TestLogWriterEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		release := sync.OnceFunc(func() { close(stuck) })
		to := &fickle{take: func(b []byte) (int, error) { <-stuck; return len(b), nil }}
		defer release()
		out := NewLogWriter(to)
		start := time.Now()
		if !out.Flush(time.Second) || time.Since(start) != 0 {
			t.Errorf("with nothing to write it took %v", time.Since(start))
		}
		fmt.Fprintln(out, "a line")
		if out.Flush(time.Second) || time.Since(start) != time.Second {
			t.Errorf("stuck, it was given up after %v, want 1s", time.Since(start))
		}
		if missing := out.handOver(); missing != 1 || time.Since(start) != time.Second {
			t.Errorf("to be handed over: %d missing after %v, want 1 at once", missing, time.Since(start))
		}
		release()
		if !out.Flush(time.Second) || time.Since(start) != time.Second || to.text.String() != "a line\n" {
			t.Errorf("%q after %v", to.text.String(), time.Since(start))
		}
	})
}

// The program that takes over says what the one before could not.
func TestLogWriterInherits(t *testing.T) {
	to := &fickle{take: func(b []byte) (int, error) { return len(b), nil }}
	out := NewLogWriter(to)
	if missing := out.handOver(); missing != 0 {
		t.Errorf("%d missing of none", missing)
	}
	out.restore(3)
	fmt.Fprintln(out, "upgraded")
	out.Flush(patience)
	if got, want := to.text.String(), "3 lines are missing\nupgraded\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var config Config
	_, _ = config.check() // it is not complete, and has its defaults
	if missing := config.LogWriter.handOver(); missing != 0 {
		t.Errorf("%d missing of no log", missing)
	}
}

// A line that is longer than the queue goes, and none of the others with it.
func TestLogWriterLongLine(t *testing.T) {
	to := &fickle{take: func(b []byte) (int, error) { return len(b), nil }}
	out := NewLogWriter(to)
	fmt.Fprintln(out, strings.Repeat("x", maxQueuedLog))
	fmt.Fprintln(out, "a line")
	out.Flush(patience)
	if got, want := to.text.String(), "1 lines are missing\na line\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Of many who log at once each finds its lines in its order, all of them.
func TestLogWriterManyGoroutines(t *testing.T) {
	const writers, lines = 8, 1000
	to := &fickle{take: func(b []byte) (int, error) { return len(b), nil }}
	out := NewLogWriter(to)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range lines {
				fmt.Fprintf(out, "writer %d line %d\n", w, i)
			}
		})
	}
	all.Wait()
	if !out.Flush(patience) {
		t.Fatalf("not written within %v", patience)
	}
	var next [writers]int
	for line := range strings.Lines(to.text.String()) {
		var w, i int
		if n, err := fmt.Sscanf(line, "writer %d line %d\n", &w, &i); n != 2 || err != nil || next[w] != i {
			t.Fatalf("%q, want line %d", line, next[w])
		}
		next[w]++
	}
	if next != [writers]int{lines, lines, lines, lines, lines, lines, lines, lines} {
		t.Errorf("lines of each: %v", next)
	}
}

// A terminal that another program has made non-blocking loses nothing: it is
// written to as it takes more.
func TestLogWriterNonBlocking(t *testing.T) {
	leaktest.Descriptors(t)
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	from, to := os.NewFile(uintptr(fds[0]), "from"), os.NewFile(uintptr(fds[1]), "to") // blocking ones
	defer from.Close()
	if err := unix.SetNonblock(fds[1], true); err != nil {
		t.Fatal(err)
	}
	out := NewLogWriter(to)
	const lines = 10_000
	for i := range lines {
		fmt.Fprintf(out, "a line that fills the pipe, number %d\n", i)
	}
	read := make(chan string)
	go func() {
		text, err := io.ReadAll(from)
		read <- fmt.Sprint(string(text), err)
	}()
	if !out.Flush(patience) {
		t.Errorf("not written within %v", patience)
	}
	_ = to.Close()
	if got := strings.Count(<-read, "a line that fills the pipe"); got != lines {
		t.Errorf("%d lines, want %d", got, lines)
	}
}

// A burst waits for a log that is behind where it comes from, but not for one
// that stands still.
func TestLogWriterRoom(t *testing.T) {
	const limit = 100 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		step := make(chan struct{})
		out := NewLogWriter(&fickle{take: func(b []byte) (int, error) {
			<-step
			return len(b), nil
		}})
		half := make([]byte, maxQueuedLog/2)
		waited := func(quit <-chan struct{}) time.Duration {
			start := time.Now()
			out.awaitRoom(limit, quit)
			return time.Since(start)
		}
		_, _ = out.Write(half) // it never fails
		if got := waited(nil); got != 0 {
			t.Errorf("half full: waited for %v", got)
		}
		_, _ = out.Write([]byte("more\n")) // likewise
		quit := make(chan struct{})
		close(quit)
		if got := waited(quit); got != 0 {
			t.Errorf("told to quit: waited for %v", got)
		}
		time.AfterFunc(limit/2, func() { step <- struct{}{} })
		if got := waited(nil); got != limit/2 {
			t.Errorf("waited for %v, want until there is room", got)
		}
		_, _ = out.Write(half) // likewise
		if got := waited(nil); got != limit {
			t.Errorf("waited for %v, want the limit", got)
		}
		time.Sleep(time.Nanosecond)
		if got := waited(nil); got != 0 {
			t.Errorf("stuck: waited for %v", got)
		}
		close(step)
		out.Flush(time.Second)
	})
}

// An error that is no reason to wait is none to wait for ever.
func TestAwaitWritable(t *testing.T) {
	if awaitWritable(new(gate)) {
		t.Error("it waited for what is no file")
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	from, to := os.NewFile(uintptr(pipe[0]), "from"), os.NewFile(uintptr(pipe[1]), "to")
	_ = from.Close()
	if !awaitWritable(to) { // an error is to be had at once
		t.Error("it did not wait for a pipe")
	}
	_ = to.Close()
	if awaitWritable(to) {
		t.Error("it waited for what is closed")
	}
	out := NewLogWriter(to)
	fmt.Fprintln(out, "a line")
	if out.Flush(patience); out.missing != 1 {
		t.Errorf("%d missing, want 1", out.missing)
	}
	if _, err := to.Write(nil); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}
