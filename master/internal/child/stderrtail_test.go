package child

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// What a worker said before its end is all kept, however late it is read, and
// though another process holds the pipe open and goes on writing.
func TestStderrTail(t *testing.T) {
	leaktest.Descriptors(t)
	for _, test := range []struct{ name, said, want string }{
		{"nothing", "", ""},
		{"a line", "it is broken\n", "it is broken"},
		{"a line that does not end", "one\ntwo", "one\ntwo"},
		{"more than is read at once", strings.Repeat("x\n", longestLine), strings.Repeat("x\n", keptFirst) + fmt.Sprintf("(lines left out here: %d)", longestLine-keptFirst-keptLast) + strings.Repeat("\nx", keptLast)},
	} {
		for range 100 {
			tail, worker := newTestTail(t)
			tail.resume()
			say(t, worker, test.said)
			tail.end()
			if got := tail.String(); got != test.want {
				t.Fatalf("%s: %q, want %q", test.name, got, test.want)
			}
			_ = worker.Close()
		}
	}
}

// A pause loses nothing, wherever in a line it comes.
func TestStderrTailPause(t *testing.T) {
	leaktest.Descriptors(t)
	tail, worker := newTestTail(t)
	for _, piece := range []string{"on", "e\ntw", "o\n", "\n\r\nthree"} {
		say(t, worker, piece)
		tail.resume()
		tail.pause()
	}
	tail.end()
	_ = worker.Close()
	if got := tail.String(); got != "one\ntwo\nthree" {
		t.Errorf("%q", got)
	}
}

// A process that writes without end is read no further than to what the worker
// can have said.
func TestRemainsEnd(t *testing.T) {
	leaktest.Descriptors(t)
	from, to := openTestPipe(t)
	defer from.Close()
	defer to.Close()
	say(t, to, "of the worker")
	left := remains(from)
	say(t, to, "of another")
	if got, err := io.ReadAll(left); string(got) != "of the worker" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_ = from.SetReadDeadline(time.Unix(1, 0)) // as a pause does
	if got, err := io.ReadAll(remains(from)); string(got) != "of another" || err != nil {
		t.Errorf("after a pause: %q, %v", got, err)
	}
}

func newTestTail(t *testing.T) (*stderrTail, *os.File) {
	t.Helper()
	from, to := openTestPipe(t)
	return newStderrTail(from, hclog.NewNullLogger(), func(time.Duration, <-chan struct{}) {}), to
}

// openTestPipe returns a pipe whose reading end is non-blocking, as a worker's is.
func openTestPipe(t *testing.T) (from, to *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "from"), os.NewFile(uintptr(fds[1]), "to")
}

func say(t *testing.T, to *os.File, words string) {
	t.Helper()
	if _, err := io.WriteString(to, words); err != nil {
		t.Fatal(err)
	}
}

// No log leaves out what a program says; a line that begins with a level has that one.
func TestLevelsOfOutput(t *testing.T) {
	for _, test := range []struct {
		log  hclog.Level
		line string
		want hclog.Level // NoLevel: it is not logged
	}{
		{hclog.Info, "panic: oh no", hclog.Info},
		{hclog.Trace, "panic: oh no", hclog.Info},
		{hclog.Error, "panic: oh no", hclog.Error},
		{hclog.Warn, "[INFO]  worker: draining: conns=0", hclog.NoLevel},
		{hclog.Info, "[WARN]  worker: slow", hclog.Warn},
		{hclog.Error, "[ERROR] worker: no", hclog.Error},
		{hclog.Info, "[DEBUG] worker: detail", hclog.Info},
		{hclog.Warn, "[DEBUG] worker: detail", hclog.NoLevel},
		{hclog.Error, "[other] thing", hclog.Error},
	} {
		var out strings.Builder
		tail := &stderrTail{log: hclog.New(&hclog.LoggerOptions{Output: &out, Level: test.log, JSONFormat: true}), rest: test.line + "\n"}
		tail.say()
		want := ""
		if test.want != hclog.NoLevel {
			want = fmt.Sprintf("%q:%q", "@level", test.want)
		}
		if got := out.String(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%v: %q: %q, want %v", test.log, test.line, got, test.want)
		}
	}
}
