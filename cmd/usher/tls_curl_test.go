package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// curl is one that takes the whole story for a request: a download, of which it is let to
// pass some on now and then, or an upload, of which it is given some.
type curl struct {
	cmd    *exec.Cmd
	in     *os.File // its standard input, in an upload; else nil
	out    *os.File // its standard output
	stderr *transcript
	block  uint64          // of a download, the next one,
	blocks uint64          // and how many there are
	mine   summing         // of an upload, what it was given,
	want   strings.Builder // and what that is to be answered with
}

// startCurls starts one of each for each version of TLS, if there is curl.
func startCurls(t *testing.T, address, ca string) (all []*curl) {
	t.Helper()
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Log("without curl: it is not here")
		return nil
	}
	for _, version := range [][]string{{"--tlsv1.3"}, {"--tls-max", "1.2"}} {
		args := append(version, "--no-progress-meter", "--fail", "--noproxy", "*", "--http1.1", "--cacert", ca, "https://"+address)
		down := &curl{blocks: 1000} // 16 MB: more than sockets take
		down.start(t, exec.Command(path, append(args[:len(args)-1:len(args)-1], fmt.Sprintf("https://%s/%d", address, down.blocks))...))
		up := new(curl)
		up.start(t, exec.Command(path, append(args, "--header", "Expect:", "--upload-file", "-")...))
		all = append(all, down, up)
	}
	return all
}

func (c *curl) start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	c.cmd = cmd
	var theirs [3]*os.File
	var err error
	if c.blocks == 0 {
		if theirs[0], c.in, err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
		cmd.Stdin = theirs[0]
	}
	if c.out, theirs[1], err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	theirs[2], c.stderr = newTranscript(t)
	cmd.Stdout, cmd.Stderr = theirs[1], theirs[2]
	err = cmd.Start()
	for _, end := range theirs {
		_ = end.Close() // the child has it now, or there is none
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = c.in.Close(), c.out.Close() // it has ended, or the story has not come to its end
		_ = cmd.Process.Kill()
		c.stderr.waitEnd(limit)
		_ = cmd.Wait() // finish has looked at it
	})
}

// goOn passes some on.
func (c *curl) goOn(t *testing.T) {
	t.Helper()
	if c.in == nil {
		c.read(t, min(c.blocks-c.block, 10))
		return
	}
	for range 10 {
		line := strings.Repeat(fmt.Sprint(c.mine.lines), int(c.mine.sum%1000)) + ".\n"
		_ = c.in.SetDeadline(time.Now().Add(patience)) // it is a pipe
		if _, err := io.WriteString(c.in, line); err != nil {
			t.Fatalf("line %d of an upload: %v; curl says %q", c.mine.lines, err, c.stderr.all())
		}
		c.mine.add([]byte(strings.TrimSuffix(line, "\n")))
		fmt.Fprintf(&c.want, "%d %d\n", c.mine.lines, c.mine.sum)
	}
}

// read wants so many blocks.
func (c *curl) read(t *testing.T, blocks uint64) {
	t.Helper()
	got := make([]byte, blockSize)
	for range blocks {
		_ = c.out.SetDeadline(time.Now().Add(patience)) // it is a pipe
		if n, err := io.ReadFull(c.out, got); err != nil || !bytes.Equal(got, block(c.block)) {
			t.Fatalf("block %d of a download: %d bytes, %v; or others than these; curl says %q", c.block, n, err, c.stderr.all())
		}
		c.block++
	}
}

// finish passes on the rest, and wants the whole answer, and no more.
func (c *curl) finish(t *testing.T) {
	t.Helper()
	c.read(t, c.blocks-c.block)
	_ = c.in.Close()                                // it is open, or there is none
	_ = c.out.SetDeadline(time.Now().Add(patience)) // it is a pipe
	if got, err := io.ReadAll(c.out); err != nil || string(got) != c.want.String() {
		t.Errorf("after %d blocks and %d lines it has %q, %v; want %q", c.block, c.mine.lines, got, err, c.want.String())
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("curl: %v: %q", err, c.stderr.all())
	}
}
