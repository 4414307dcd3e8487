package worker

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// accessRig is an access log that is on, with what its worker logs.
type accessRig struct {
	*AccessLog
	t      *testing.T
	folder string
	output bytes.Buffer // read it after end
}

func newAccessRig(t *testing.T, format accessFormat) *accessRig {
	leaktest.Descriptors(t)
	r := &accessRig{AccessLog: new(AccessLog), t: t, folder: t.TempDir()}
	r.announce(format, hclog.New(&hclog.LoggerOptions{Output: &r.output}))
	t.Cleanup(func() { r.end(time.Minute) })
	return r
}

// open returns a descriptor of a file, as the master opens it.
func (r *accessRig) open(name string, flags int) int {
	r.t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(r.folder, name)
	}
	fd, err := unix.Open(name, flags|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o644)
	if err != nil {
		r.t.Fatal(err)
	}
	return fd
}

// switchTo has lines go to a descriptor, and returns a channel that is closed when nothing
// goes to the file before.
func (r *accessRig) switchTo(format accessFormat, fd int) (taken chan struct{}) {
	taken = make(chan struct{})
	r.take(format, fd, func() { close(taken) })
	return taken
}

func (r *accessRig) logURI(uri string) { r.Log(accessed(func(a *Access) { a.URI = uri })) }

// uris returns the URIs of a file's lines, which must be whole.
func (r *accessRig) uris(name string) (uris []string) {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.folder, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return r.urisIn(string(text))
}

func (r *accessRig) urisIn(text string) (uris []string) {
	r.t.Helper()
	for line := range strings.Lines(text) {
		_, rest, found := strings.Cut(line, `"GET `)
		uri, _, ends := strings.Cut(rest, ` HTTP/1.1" 200 13 "-" "curl/8.14.1"`+"\n")
		if !found || !ends {
			r.t.Errorf("no whole line: %q", line)
		}
		uris = append(uris, uri)
	}
	return uris
}

func TestAccessLogIsOffByItself(t *testing.T) {
	var l AccessLog
	l.Log(accessed())
	if l.Enabled() || l.Dropped() != 0 {
		t.Error("the zero value is on")
	}
	l.end(time.Second)
}

// Lines that are logged before the file has come are in it.
func TestAccessLogBeforeItsFile(t *testing.T) {
	r := newAccessRig(t, accessCombined)
	if !r.Enabled() {
		t.Fatal("it is off though a file was announced")
	}
	r.logURI("/early")
	<-r.switchTo(accessCombined, r.open("log", unix.O_WRONLY))
	r.logURI("/late")
	r.end(time.Minute)
	if got := r.uris("log"); len(got) != 2 || got[0] != "/early" || got[1] != "/late" {
		t.Errorf("%q", got)
	}
	if r.Enabled() || r.Dropped() > 0 || r.output.Len() > 0 {
		t.Errorf("at the end: enabled %t, %d dropped, %q", r.Enabled(), r.Dropped(), r.output.String())
	}
}

// A line needs nothing to follow it.
func TestAccessLogIsWrittenSoon(t *testing.T) {
	r := newAccessRig(t, accessCombined)
	fds := make([]int, 2)
	if err := unix.Pipe2(fds, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	reader := os.NewFile(uintptr(fds[0]), "reader")
	defer reader.Close()
	r.switchTo(accessCombined, fds[1])
	for n := range 3 {
		r.logURI(fmt.Sprint("/", n))
		line := make([]byte, 200)
		size, err := reader.Read(line)
		if got := r.urisIn(string(line[:size])); err != nil || len(got) != 1 || got[0] != fmt.Sprint("/", n) {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// Files follow one another while many log: each line is in one of them, once, and none
// comes into a file after the next was taken.
func TestAccessLogIsReopened(t *testing.T) {
	r := newAccessRig(t, accessCombined)
	const loggers, files, lines = 4, 8, 3000
	var all sync.WaitGroup
	for n := range loggers {
		all.Go(func() {
			for i := range lines {
				r.logURI(fmt.Sprintf("/%d/%d", n, i))
			}
		})
	}
	<-r.switchTo(accessCombined, r.open("log.0", unix.O_WRONLY))
	sizes := make([]int, files)
	for n := 1; n < files; n++ {
		<-r.switchTo(accessCombined, r.open(fmt.Sprint("log.", n), unix.O_WRONLY))
		sizes[n-1] = len(r.uris(fmt.Sprint("log.", n-1)))
	}
	all.Wait()
	r.end(time.Minute)
	seen := make(map[string]bool)
	for n := range files {
		uris := r.uris(fmt.Sprint("log.", n))
		if n < files-1 && len(uris) != sizes[n] {
			t.Errorf("file %d has %d lines, and had %d when the next was taken", n, len(uris), sizes[n])
		}
		for _, uri := range uris {
			if seen[uri] {
				t.Errorf("%s is there twice", uri)
			}
			seen[uri] = true
		}
	}
	if got := len(seen) + int(r.Dropped()); got != loggers*lines {
		t.Errorf("%d lines and %d dropped, want %d", len(seen), r.Dropped(), loggers*lines)
	}
}

// What was logged before it was turned off, or in another format, is in the file of then.
func TestAccessLogChanges(t *testing.T) {
	r := newAccessRig(t, accessCombined)
	r.switchTo(accessCombined, r.open("combined", unix.O_WRONLY))
	r.logURI("/combined")
	<-r.switchTo(accessJSON, r.open("json", unix.O_WRONLY))
	r.logURI("/json")
	<-r.switchTo(accessOff, -1)
	r.logURI("/off")
	if r.Enabled() {
		t.Error("it is on")
	}
	if got := r.uris("combined"); len(got) != 1 || got[0] != "/combined" {
		t.Errorf("%q", got)
	}
	text, err := os.ReadFile(filepath.Join(r.folder, "json"))
	if err != nil || bytes.Count(text, []byte("\n")) != 1 || !bytes.Contains(text, []byte(`"uri":"/json"`)) {
		t.Errorf("%q, %v", text, err)
	}
	<-r.switchTo(accessCombined, r.open("combined", unix.O_WRONLY))
	r.logURI("/again")
	r.end(time.Minute)
	if got := r.uris("combined"); len(got) != 2 || got[1] != "/again" {
		t.Errorf("%q", got)
	}
}

// A FIFO that nobody reads takes what fits into it, and 1 MiB waits; the rest is dropped,
// and counted, and nobody waits. When another file comes, what waits goes there.
func TestAccessLogIsStuck(t *testing.T) {
	r := newAccessRig(t, accessCombined)
	if err := unix.Mkfifo(filepath.Join(r.folder, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.switchTo(accessCombined, r.open("fifo", unix.O_RDWR))
	again := r.open("fifo", unix.O_RDWR) // to read what is in it in the end
	const lines = 40_000
	for n := range lines {
		r.logURI(fmt.Sprint("/", n))
	}
	if r.Dropped() == 0 {
		t.Fatalf("%d lines were taken", lines)
	}
	<-r.switchTo(accessCombined, r.open("log", unix.O_WRONLY))
	r.end(time.Minute)
	inFIFO := make([]byte, 1<<20)
	size, err := unix.Read(again, inFIFO)
	if err != nil {
		t.Error(err)
	}
	_ = unix.Close(again)
	fifo, file := r.urisIn(string(inFIFO[:size])), r.uris("log")
	if got := len(fifo) + len(file) + int(r.Dropped()); got != lines || len(file) < 5000 || len(fifo) == 0 {
		t.Errorf("%d lines in the FIFO, %d in the file, %d dropped; want %d", len(fifo), len(file), r.Dropped(), lines)
	}
	if said := strings.Count(r.output.String(), "access log lines dropped: count="); said < 1 || said > 2 {
		t.Errorf("the worker's log says it %d times:\n%s", said, r.output.String())
	}
}

// A reader that has gone costs the lines, and they are counted.
func TestAccessLogHasNoReader(t *testing.T) {
	r := newAccessRig(t, accessCombined)
	fds := make([]int, 2)
	if err := unix.Pipe2(fds, unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fds[0])
	r.switchTo(accessCombined, fds[1])
	r.logURI("/1")
	r.logURI("/2")
	<-r.switchTo(accessOff, -1)
	r.end(time.Minute)
	if r.Dropped() != 2 || !strings.Contains(r.output.String(), "broken pipe") {
		t.Errorf("%d dropped; logged: %s", r.Dropped(), r.output.String())
	}
}

// On a full disk lines wait, and go to the next file.
func TestAccessLogIsFull(t *testing.T) {
	r := newAccessRig(t, accessCombined)
	r.switchTo(accessCombined, r.open("/dev/full", unix.O_WRONLY))
	r.logURI("/1")
	<-r.switchTo(accessCombined, r.open("log", unix.O_WRONLY))
	r.logURI("/2")
	r.end(time.Minute)
	if got := r.uris("log"); len(got) != 2 || r.Dropped() != 0 {
		t.Errorf("%q, %d dropped", got, r.Dropped())
	}
}

// shortFile is a sink whose file has room for some more bytes (setrlimit(2), RLIMIT_FSIZE).
func shortFile(t *testing.T, fd, more int, f func()) {
	t.Helper()
	var stat unix.Stat_t
	var before unix.Rlimit
	if err := unix.Fstat(fd, &stat); err != nil {
		t.Fatal(err)
	}
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(stat.Size) + uint64(more), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

// A line that there was no room for is written again, whole, on a line of its own.
func TestAccessLogLineIsCut(t *testing.T) {
	line := lineOf(accessed(), accessCombined)
	for _, test := range []struct {
		name    string
		whole   int // lines that there is room for, and a half one
		regular bool
	}{
		{"behind another", 1, true},
		{"the first", 0, true},
		{"behind another, in what is no regular file", 1, false},
		{"the first, in what is no regular file", 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newAccessRig(t, accessCombined)
			fd := r.open("log", unix.O_WRONLY)
			s := newAccessSink(r.AccessLog, accessCombined)
			s.attach(os.NewFile(uintptr(fd), "log"))
			defer s.file.Close()
			s.regular = test.regular
			lines, whole := []byte(strings.Repeat(line, 3)), len(line)*test.whole
			shortFile(t, fd, whole+len(line)/2, func() {
				if n, err := s.write(lines); n != whole || !waitsForRoom(err) {
					t.Fatalf("%d bytes, %v; want %d", n, err, whole)
				}
			})
			if n, err := s.write(lines[whole:]); n != len(lines)-whole || err != nil {
				t.Fatalf("%d bytes, %v", n, err)
			}
			text, err := os.ReadFile(filepath.Join(r.folder, "log"))
			want := strings.Repeat(line, test.whole) + line[:len(line)/2] + "\n" + strings.Repeat(line, 3-test.whole)
			if string(text) != want || err != nil {
				t.Errorf("%v\n%q, want\n%q", err, text, want)
			}
		})
	}
}

// A file that takes nothing holds nobody up for longer than the end may take.
func TestAccessLogEndIsBounded(t *testing.T) {
	r := newAccessRig(t, accessCombined)
	fds := make([]int, 2)
	if err := unix.Pipe2(fds, unix.O_CLOEXEC); err != nil { // blocking
		t.Fatal(err)
	}
	r.switchTo(accessCombined, fds[1])
	for n := range 2000 {
		r.logURI(fmt.Sprint("/", n))
	}
	s := r.current.Load()
	r.end(time.Millisecond)
	written := make([]byte, 1<<20)
	n, err := unix.Read(fds[0], written)
	if lines := countLines(written[:max(0, n)]); err != nil || r.Dropped() == 0 || int(r.Dropped())+lines < 2000 {
		t.Errorf("%d lines written, %v, and %d dropped, of 2000", lines, err, r.Dropped())
	}
	_ = unix.Close(fds[0]) // the write ends
	<-s.closed
}

func TestAccessLogAllocatesNothing(t *testing.T) {
	r := newAccessRig(t, accessJSON)
	a := accessed()
	r.Log(a)
	s := r.current.Load()
	if allocations := testing.AllocsPerRun(1000, func() {
		s.mu.Lock()
		s.queue = s.queue[:0]
		s.mu.Unlock()
		r.Log(a)
	}); allocations > 0 {
		t.Errorf("%v allocations a line", allocations)
	}
}

func BenchmarkAccessLog(b *testing.B) {
	for name, format := range map[string]accessFormat{"combined": accessCombined, "json": accessJSON} {
		b.Run(name, func(b *testing.B) {
			var l AccessLog
			l.announce(format, hclog.NewNullLogger())
			fd, err := unix.Open(filepath.Join(b.TempDir(), "log"), unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
			if err != nil {
				b.Fatal(err)
			}
			l.take(format, fd, func() {})
			a := accessed()
			b.ReportAllocs()
			for b.Loop() {
				a.Time = time.Now()
				l.Log(a)
			}
			l.end(time.Minute)
			b.ReportMetric(float64(l.Dropped())/float64(b.N), "dropped/op")
		})
	}
}
