package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// longAgent makes each line of the access log some 1,100 bytes long.
var longAgent = "visitor/" + strings.Repeat("x", 1000)

// A FIFO that nobody reads, and a full disk: requests are answered all the same, what has
// no room is dropped, and the worker says so, once, with the count.
func TestNobodyReadsTheAccessLog(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"a FIFO": "", "a full disk": "/dev/full"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if path == "" {
				path = filepath.Join(shortDir(t), "fifo")
				fifo(t, path)
			}
			s := serve(t, "--workers", "1", "--app", "hello", "--access-log", path)
			v := newVisitors(t, s.address)
			v.agent = longAgent
			v.times(1500) // 1.6 MB: 1 MiB waits in the worker, 64 KiB in the FIFO
			line := s.log.await(t, 1, "[WARN]", "access log lines dropped", "count=")
			if said := s.log.with("access log lines dropped"); len(said) != 1 {
				t.Errorf("said %d times: %q", len(said), said)
			}
			if path == "/dev/full" && len(s.log.with("access log cannot be written, retrying", "no space left on device")) != 1 {
				t.Errorf("the log does not tell of the full disk, once: %q", s.log.all())
			}
			if !strings.Contains(line, "1 MiB waits") {
				t.Errorf("%s does not say why", line)
			}
			if got := s.ask("logs", "reopen"); got.code != 0 { // what waits goes into the new one: 1 MiB again
				t.Errorf("usher logs reopen: %+v", got)
			}
			v.times(1)
			s.stop() // within its limit, though nobody reads
		})
	}
}

// A FIFO is read late: what is read are whole lines of requests, each once.
func TestAccessLogReadLate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "fifo")
	fifo(t, path)
	s := serve(t, "--workers", "2", "--app", "hello", "--access-log", path)
	v := newVisitors(t, s.address)
	v.agent = longAgent
	v.times(300) // five times what a FIFO holds
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	logged := make(map[string]int)
	var text []byte
	for piece := make([]byte, 64<<10); len(logged) < 300; {
		n, err := reader.Read(piece)
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, piece[:n]...)
		for {
			line, rest, found := bytes.Cut(text, []byte("\n"))
			if !found {
				break
			}
			path, whole := v.pathIn(string(line) + "\n")
			if !whole {
				t.Fatalf("%q is not one whole line", line)
			}
			logged[path]++
			text = rest
		}
	}
	v.check(logged)
	s.stop()
}

// The reader of a pipe goes: lines are lost and counted, and nothing else.
func TestAccessLogReaderGone(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd, mark := command()
	cmd.Stdout = w // it is not read for the start line, so the story waits otherwise
	s := launch(t, cmd, mark, "--workers", "1", "--app", "hello", "--access-log", "-")
	_ = w.Close() // the child has it
	said := make([]byte, 4096)
	n, err := r.Read(said)
	match := startLine.FindStringSubmatch(strings.TrimSpace(string(said[:n])))
	if match == nil {
		t.Fatalf("%q, %v", said[:n], err)
	}
	v := newVisitors(t, strings.TrimPrefix(match[1], "tcp://"))
	v.times(1)
	if n, err = r.Read(said); err != nil {
		t.Fatal(err)
	}
	if path, whole := v.pathIn(string(said[:n])); path != "/visit/1" || !whole {
		t.Errorf("the first line is %q", said[:n])
	}
	_ = r.Close()
	v.times(50)
	s.log.await(t, 1, "[WARN]", "access log lines dropped", "broken pipe")
	v.times(50)
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// A disk that was full and is not any more: each request is in the log once, on a whole
// line; what was cut is on a line of its own, or an empty one is there.
func TestAccessLogOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := shortDir(t)
	if err := unix.Mount("none", disk, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("this user cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	filler, log := filepath.Join(disk, "filler"), filepath.Join(disk, "access")
	if err := os.WriteFile(filler, make([]byte, 200<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	s := serve(t, "--workers", "1", "--app", "hello", "--access-log", log)
	v := newVisitors(t, s.address)
	v.agent = longAgent
	v.times(100) // 110 kB, of which half fits
	s.log.await(t, 1, "[WARN]", "access log cannot be written, retrying", "no space left on device")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	v.times(10)
	s.stop()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	logged, torn := make(map[string]int), 0
	for line := range strings.Lines(string(text)) {
		if path, whole := v.pathIn(line); whole {
			logged[path]++
		} else if torn++; torn > 1 {
			t.Errorf("more than one line is not whole: %q", line)
		}
	}
	v.check(logged)
}
