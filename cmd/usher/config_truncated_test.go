package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// replaceText makes the file's text that, and nothing else.
func (c *configured) replaceText(text string) {
	c.t.Helper()
	if err := os.WriteFile(c.path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// A file that ends too early is refused, wherever it ends, and the server stays
// where it is and what it is.
func TestReloadOfATruncatedConfiguration(t *testing.T) {
	t.Parallel()
	program := fmt.Sprintf("program = [%q, %q, %q]", self(), "worker", "lines")
	s := serveConfigured(t, `workers = 1`, program)
	whole, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s.address)
	c.ask(t, "hello")
	for n, text := range []string{
		"", "\n \n", // a full disk
		strings.Repeat("\x00", len(whole)),                // after a crash of the machine
		string(whole)[:len(whole)/2],                      // in the midst of a line
		"workers = 1\n",                                   // at the end of one
		strings.Replace(string(whole), "listen", "#", 1),  // listen alone
		strings.Replace(string(whole), "program", "#", 1), // program alone
	} {
		s.replaceText(text)
		t.Log(n)
		s.refusesReload(s.path)
		c.ask(t, "still here")
	}
	s.replaceText(strings.Replace(string(whole), "program", "#", 1))
	s.refusesReload("program is missing, which the file had", "write program = []")
	s.replaceText(strings.Replace(string(whole), "listen", "#", 1))
	s.refusesReload("listen is missing, which the file had", `write listen = ["127.0.0.1:8888"]`)
	s.replaceText("")
	s.refusesReload(s.path + " is empty")

	s.write(`workers = 1`, `program = []`) // on purpose
	s.reload()
	s.write(`workers = 1`)
	s.refusesReload("program is missing")
	c.leave(t)
	s.stop()
}

// A file that is cut within its last value is a good configuration, of something else. That
// its last line has no end tells; and what a cut between lines has lost is told.
func TestReloadOfAConfigurationWithoutItsEnd(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `workers = 1`)
	text, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	whole := string(text) + "idle-timeout = \"1h\"\nmax-conns = 1000\n"
	check := func(warnings int) {
		t.Helper()
		got := usher(t, "check", "--config", s.path)
		if got.code != 0 || strings.Count(got.stdout, "warning: "+s.path+":5: the last line has no end") != warnings {
			t.Errorf("%+v, want %d warnings", got, warnings)
		}
	}
	s.replaceText(whole)
	check(0)
	s.reload()
	for _, cut := range []int{1, 3} { // the newline; and two zeros
		s.replaceText(whole[:len(whole)-cut])
		check(1)
		s.refusesReload(s.path+":5: the last line has no end", "add a newline")
	}
	s.replaceText(string(text))
	s.reload()
	s.log.await(t, 1, "[WARN]", "the configuration file no longer has settings that it had", `settings="idle-timeout, max-conns"`)
	s.stop()
}

// A file without the last newline is taken, with a warning, where it never had one: people
// write such files.
func TestConfigurationThatNeverHadAnEnd(t *testing.T) {
	t.Parallel()
	folder := shortDir(t)
	path, control := filepath.Join(folder, "usher.toml"), filepath.Join(folder, "c")
	writeFile(t, path, fmt.Sprintf("listen = [\"127.0.0.1:0\"]\ncontrol = %q\nworkers = 1", control))
	cmd, mark := command("serve", "--config", path)
	s := launchAs(t, cmd, mark, control)
	s.awaitStart()
	s.log.await(t, 1, "[WARN]", "the last line of the configuration file has no end", "path="+path+":3")
	s.reload()
	s.log.await(t, 2, "[WARN]", "the last line of the configuration file has no end", "path="+path+":3")
	s.stop()
}

// What is in force is what counts, not what was read for a reload that failed; also
// after an upgrade.
func TestTruncatedConfigurationIsOfTheOneInForce(t *testing.T) {
	t.Parallel()
	file := install(t)
	path := filepath.Join(shortDir(t), "usher.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	working := fmt.Sprintf("program = [%q, %q, %q]\n", self(), "worker", "lines")
	write("# nothing yet\n")
	s := file.serve("--workers", "1", "--config", path)
	write("program = [\"/nowhere\"]\n")
	s.refusesReload("/nowhere")
	write("# nothing yet\n")
	s.reload()
	write(working)
	s.reload()
	if got := s.ask("upgrade"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	write("# nothing more\n")
	s.refusesReload("program is missing")
	s.stop()
}

func TestAnEmptyConfigurationAtTheStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "usher.toml")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"serve", "check"} {
		checkComplaint(t, usher(t, command, "--config", path), exitUsage, path, "is empty", "comment")
	}
}

// A configuration from a pipe is read at the start; a reload, before and after an
// upgrade, says that it cannot be read again, and does not wait for it.
func TestConfigurationFromAPipe(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) (path string, from *os.File, to io.WriteCloser){
		"descriptor": func(t *testing.T) (string, *os.File, io.WriteCloser) {
			from, to := aPipe(t)
			return "/dev/fd/3", from, to
		},
		"FIFO": func(t *testing.T) (string, *os.File, io.WriteCloser) {
			path := filepath.Join(shortDir(t), "config")
			fifo(t, path)
			to, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			return path, nil, to
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, from, to := open(t)
			if _, err := io.WriteString(to, "workers = 1\napp = \"lines\"\nlisten = [\"127.0.0.1:0\"]\n"); err != nil {
				t.Fatal(err)
			}
			control := filepath.Join(shortDir(t), "c")
			cmd, mark := command("serve", "--config", path, "--control", control)
			if from != nil {
				cmd.ExtraFiles = []*os.File{from}
				_ = to.Close() // the server is to find its end
			}
			s := launchAs(t, cmd, mark, control)
			if from == nil { // it has opened the FIFO once it has read something of it
				until(t, "the configuration is read", func() (bool, string) {
					n, err := unix.IoctlGetInt(int(to.(*os.File).Fd()), unix.TIOCINQ)
					return err == nil && n == 0, fmt.Sprint(n, err)
				})
				_ = to.Close()
			}
			s.awaitStart()
			s.refusesReload("is a pipe, which can be read once only")
			if got := s.ask("upgrade"); got.code != 0 {
				t.Errorf("upgrade: %+v", got)
			}
			s.refusesReload("is a pipe, which can be read once only")
			c := dial(t, s.address)
			c.ask(t, "hello")
			c.leave(t)
			s.stop()
		})
	}
}
