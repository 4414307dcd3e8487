package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// client is one connection to the app lines. Its methods that take no test
// return errors, for goroutines, which must not end a test.
type client struct {
	conn *net.TCPConn
	in   *bufio.Reader
}

// connect connects; whatever the client waits for must come within the limit from
// now, or from when it last sent.
func connect(address string) (*client, error) {
	return connectBy(&net.Dialer{Timeout: limit}, address)
}

// connectBy is connect by a dialer, which may have an address of its own.
func connectBy(dialer *net.Dialer, address string) (*client, error) {
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{conn.(*net.TCPConn), bufio.NewReader(conn)}
	return c, c.renew()
}

func (c *client) renew() error { return c.conn.SetDeadline(time.Now().Add(limit)) }

// send sends a line, or a part of one.
func (c *client) send(text string) error {
	if err := c.renew(); err != nil {
		return err
	}
	_, err := io.WriteString(c.conn, text)
	return err
}

// answer reads the answer to a line and returns the pid of the worker that gave it.
func (c *client) answer(line string) (pid int, err error) {
	got, err := c.in.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("answer to %q: %w", line, err)
	}
	number, rest, _ := strings.Cut(got, " ")
	if pid, err = strconv.Atoi(number); err != nil {
		return 0, fmt.Errorf("answer %q begins with no pid", got)
	}
	me := c.conn.LocalAddr().(*net.TCPAddr)
	if want := fmt.Sprintf("%v %d %s\n", me.IP, me.Port, line); rest != want {
		return 0, fmt.Errorf("answer %q, want <pid> %q", got, want)
	}
	return pid, nil
}

// exchange sends a line and reads its answer.
func (c *client) exchange(line string) (pid int, err error) {
	if err := c.send(line + "\n"); err != nil {
		return 0, err
	}
	return c.answer(line)
}

// end finishes sending and reads to the end, which must come in order and at once.
func (c *client) end() error {
	defer c.conn.Close()
	if err := errors.Join(c.renew(), c.conn.CloseWrite()); err != nil {
		return err
	}
	return c.atEnd()
}

// atEnd reads the end: no bytes, no reset.
func (c *client) atEnd() error {
	rest, err := io.ReadAll(c.in)
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("at the end: %q, %v; want nothing, no error", rest, err)
	}
	return nil
}

// dial is connect in a test's own goroutine.
func dial(t *testing.T, address string) *client {
	t.Helper()
	c, err := connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.conn.Close() }) // if the story did not
	return c
}

// ask is exchange in a test's own goroutine.
func (c *client) ask(t *testing.T, line string) (pid int) {
	t.Helper()
	pid, err := c.exchange(line)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// leave is end in a test's own goroutine.
func (c *client) leave(t *testing.T) {
	t.Helper()
	if err := c.end(); err != nil {
		t.Error(err)
	}
}

// refused waits until an address refuses connections.
func refused(t *testing.T, address string) {
	t.Helper()
	until(t, address+" refuses connections", func() (bool, string) {
		conn, err := net.DialTimeout("tcp", address, limit)
		if err == nil {
			_ = conn.Close() // nothing was sent
		}
		return errors.Is(err, unix.ECONNREFUSED), fmt.Sprint(err)
	})
}
