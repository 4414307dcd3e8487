package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// On a terminal the status is drawn in place, through a reload and an upgrade, in no more
// columns than there are; Ctrl-Z and Ctrl-C find the screen as it was.
func TestWatchOnTerminal(t *testing.T) {
	t.Parallel()
	for name, columns := range map[string]uint16{"wide": 200, "narrow": 20} {
		t.Run(name, func(t *testing.T) {
			p := install(t)
			s := p.serve("--app", "lines", "--workers", "2")
			term := openTerminal(t, unix.NOFLSH) // Ctrl-C would drop what is not read yet
			cmd := watchIn(t, term, columns, "xterm", s.control)
			shows := func(what string, from int) int {
				t.Helper()
				var at int
				until(t, what, func() (bool, string) {
					text := strings.Join(term.shown.all(), "\n")
					at = strings.Index(text[from:], cut(what, int(columns)-1))
					return at >= 0, text[max(0, len(text)-500):]
				})
				return from + at
			}
			shows("workers 2 ready", shows(enterScreen, 0))
			c := dial(t, s.address)
			c.ask(t, "hello")
			after := shows("1 active, 0 queued", 0)
			if got := s.ask("reload"); got.code != 0 {
				t.Errorf("%+v", got)
			}
			after = shows("last reload: done at", after)
			if got := s.ask("upgrade"); got.code != 0 {
				t.Errorf("%+v", got)
			}
			c.ask(t, "upgraded")
			c.leave(t)
			after = shows("0 active, 0 queued", after)
			_, _ = term.screen.WriteString("\x1a") // a terminal takes it
			after = shows(leaveScreen, after)
			after = shows(enterScreen, after) // there is no shell that could have stopped it
			shows("workers 2 ready", after)
			_, _ = term.screen.WriteString("\x03") // likewise
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			term.shown.waitEnd(limit)
			text := strings.Join(term.shown.all(), "\n")
			last := text[strings.LastIndex(text, leaveScreen):]
			if !strings.Contains(last, cut("0 active, 0 queued", int(columns)-1)) || strings.Contains(last, enterScreen) {
				t.Errorf("it leaves %q", last)
			}
			checkFrames(t, text, int(columns))
			s.stop()
		})
	}
}

// Ctrl-Z stops it, with the shell's screen as it was; nothing is drawn in the background.
func TestWatchStopped(t *testing.T) {
	t.Parallel()
	bash := shellPath(t, "bash")
	s := serve(t, "--workers", "1")
	term := openTerminal(t, unix.NOFLSH)
	cmd, mark := command()
	t.Cleanup(func() { killMarked(mark) })
	cmd.Path, cmd.Args = bash, []string{"bash", "--norc", "--noprofile", "-i"}
	cmd.Env = append(cmd.Env, "TERM=xterm", "LC_ALL=C")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.program, term.program, term.program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = term.program.Close() // the shell has it
	after := 0
	shows := func(want string) {
		t.Helper()
		until(t, want, func() (bool, string) {
			text := strings.Join(term.shown.all(), "\n")
			at := strings.Index(text[after:], want)
			if at >= 0 {
				after += at + len(want)
			}
			return at >= 0, text[max(0, len(text)-500):]
		})
	}
	types := func(text string) { _, _ = term.screen.WriteString(text) } // a terminal takes it
	types(fmt.Sprintf("%s status --watch --interval 100ms --control %s\n", self(), s.control))
	shows(enterScreen)
	shows("workers 1 ready")
	types("\x1a")
	shows(leaveScreen)
	shows("Stopped")
	types("bg\n")
	shows("status --watch")
	types("echo in the fore''ground\n")
	shows("in the foreground")
	background := after
	types("fg\n")
	shows(enterScreen)
	if text := strings.Join(term.shown.all(), "\n"); strings.Contains(text[background:after-len(enterScreen)], "workers") {
		t.Errorf("in the background it draws %q", text[background:after])
	}
	types("\x03")
	shows(leaveScreen)
	types("exit\n")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	s.stop()
}

// checkFrames checks that no line is as wide as the terminal, and that none is the last
// one's next, which would move the screen.
func checkFrames(t *testing.T, text string, columns int) {
	t.Helper()
	frames := strings.Split(text, "\x1b[J\x1b[H")
	if len(frames) < 3 {
		t.Fatalf("%d frames", len(frames))
	}
	for _, frame := range frames[:len(frames)-1] {
		_, frame, _ = strings.Cut(frame, "\x1b[H")                        // behind what enters the screen
		lines := strings.Split(strings.ReplaceAll(frame, "\r", ""), "\n") // the terminal adds some
		if len(lines) > 24 {
			t.Errorf("%d lines in 24 rows", len(lines))
		}
		for _, line := range lines {
			line, ended := strings.CutSuffix(line, "\x1b[K")
			if utf8.RuneCountInString(line) >= columns || strings.Contains(line, "\x1b") || !ended {
				t.Errorf("a line of %d columns: %q", columns, line)
			}
		}
	}
}

// watchIn starts usher status --watch as what leads a session in a terminal.
func watchIn(t *testing.T, term *terminal, columns uint16, kind, control string) *exec.Cmd {
	t.Helper()
	if _, err := onDescriptor(term.program, func(fd int) (int, error) {
		return 0, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}); err != nil {
		t.Fatal(err)
	}
	cmd, mark := command("status", "--watch", "--interval", "100ms", "--control", control)
	t.Cleanup(func() { killMarked(mark) })
	cmd.Env = append(cmd.Env, "TERM="+kind)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.program, term.program, term.program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = term.program.Close() // the process has it
	return cmd
}

// Elsewhere, and on a terminal that cannot draw, each status is a line; it ends with the server.
func TestWatchLines(t *testing.T) {
	t.Parallel()
	s := serve(t, "--app", "lines", "--workers", "1")
	term := openTerminal(t, 0)
	dumb := watchIn(t, term, 20, "dumb", s.control)
	cmd, mark := command("status", "--watch", "--interval", "100ms", "--control", s.control)
	t.Cleanup(func() { killMarked(mark) })
	write, said := newTranscript(t)
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close() // the process has it
	for _, shown := range []*transcript{said, term.shown} {
		shown.await(t, 1, "generation 1; workers 1 ready; 0 active", "- accepts/s")
		shown.await(t, 2, "generation 1; workers 1 ready; 0 active", "0.0 accepts/s; 0 B/s in")
	}
	c := dial(t, s.address)
	c.ask(t, "hello")
	said.await(t, 1, "1 active")
	c.leave(t)
	s.stop()
	if err := errors.Join(cmd.Wait(), dumb.Wait()); err != nil {
		t.Error(err)
	}
	said.waitEnd(limit)
	term.shown.waitEnd(limit)
	lines := said.all()
	if last := lines[len(lines)-1]; !strings.HasSuffix(last, " the server has ended") {
		t.Errorf("the last line is %q", last)
	}
	if all := strings.Join(append(lines, term.shown.all()...), "\n"); strings.ContainsAny(all, "\x1b") {
		t.Errorf("it draws: %q", all)
	}
}

// --json has an object a line, through an upgrade.
func TestWatchObjects(t *testing.T) {
	t.Parallel()
	p := install(t)
	s := p.serve("--workers", "1")
	cmd, mark := command("status", "--watch", "--json", "--interval", "100ms", "--control", s.control)
	t.Cleanup(func() { killMarked(mark) })
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	next := func() {
		t.Helper()
		line, err := lines.ReadBytes('\n')
		var status master.Status
		if err := errors.Join(err, json.Unmarshal(line, &status)); err != nil || status.PID != s.pid {
			t.Fatalf("%v: %q", err, line)
		}
	}
	next()
	next()
	if got := s.ask("upgrade"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	for range 5 { // more than were on their way
		next()
	}
	s.stop()
	rest, err := io.ReadAll(lines)
	for line := range strings.Lines(string(rest)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%q", line)
		}
	}
	if err := errors.Join(err, cmd.Wait()); err != nil {
		t.Error(err)
	}
}

func TestWatchRefuses(t *testing.T) {
	t.Parallel()
	nowhere := shortDir(t) + "/c"
	checkComplaint(t, usher(t, "status", "--watch", "--control", nowhere), exitFailed, "no master answers on "+nowhere)
	for _, interval := range []string{"0", "-1s", "99ms", "often"} {
		checkComplaint(t, usher(t, "status", "--watch", "--interval="+interval, "--control", nowhere), exitUsage, "interval")
	}
}

// noting is a view that remembers what it was told.
type noting struct {
	told    []string
	answers chan answer
}

func (v *noting) show(a answer, rates rates) error {
	v.told = append(v.told, fmt.Sprintf("generation %d, %v accepts/s", a.status.Generation, rates.accepts))
	return nil
}

// silence is remembered once every answer has been taken, and is the end then.
func (v *noting) silence(elapsed time.Duration, why error) error {
	if len(v.answers) > 0 {
		return nil
	}
	v.told = append(v.told, silenceLine(elapsed.Round(time.Hour), why))
	return io.EOF
}
func (*noting) redraw() error    { return nil }
func (*noting) suspend() error   { return nil }
func (*noting) end(string) error { return nil }

// Whoever does not answer is shown so; another server, and none, are the end.
func TestFollow(t *testing.T) {
	at := time.Now().Add(-time.Hour)
	first := answer{sample: sample{at, master.Status{PID: 7, Generation: 1, Started: time.Unix(1, 0)}}}
	again := answer{sample: sample{at.Add(time.Second), master.Status{PID: 7, Generation: 2, Connections: master.Counts{Accepted: 3}}}}
	other := answer{sample: sample{at, master.Status{PID: 8}}}
	anew := answer{sample: sample{at, master.Status{PID: 7, Started: time.Unix(2, 0)}}}
	for _, test := range []struct {
		name    string
		answers []answer
		want    string // of what is shown after the first
		end     string
	}{
		{"no answer", nil, "no answer for 1h0m0s", ""},
		{"an error", []answer{{err: errors.New("timeout")}}, "no answer for 1h0m0s: timeout", ""},
		{"an answer after an error", []answer{{err: errors.New("timeout")}, again}, "generation 2, 3.0 accepts/s|no answer for 1h0m0s", ""},
		{"a full backlog is no end", []answer{{err: &noMaster{reason: unix.EAGAIN}}}, "no answer for 1h0m0s: no master answers", ""},
		{"it has gone", []answer{again, {err: &noMaster{reason: fs.ErrNotExist}}}, "generation 2, 3.0 accepts/s", "the server has ended"},
		{"it was killed", []answer{{err: &noMaster{reason: unix.ECONNREFUSED}}}, "", "the server has ended"},
		{"another user's is there", []answer{{err: &noMaster{reason: strangerError{}}}}, "", "the server has ended"},
		{"another is there", []answer{other}, "", "the server has ended"},
		{"another with the same pid", []answer{anew}, "", "the server has ended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			view := noting{answers: make(chan answer, len(test.answers))}
			for _, a := range test.answers {
				view.answers <- a
			}
			want := "generation 1, - accepts/s"
			if test.want != "" {
				want += "|" + test.want
			}
			end, _ := follow(&view, first, view.answers, make(chan os.Signal), time.Millisecond) // the error ends the test
			if got := strings.Join(view.told, "|"); !strings.HasPrefix(got, want) || end != test.end {
				t.Errorf("%q, %q; want %q, %q", got, end, want, test.end)
			}
		})
	}
}
