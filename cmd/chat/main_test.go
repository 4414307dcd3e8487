package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"go.uber.org/goleak"
)

// limit is the time in which whatever a test waits for must have come.
const limit = 20 * time.Second

func TestMain(m *testing.M) {
	if worker.IsWorker() {
		main()
	}
	goleak.VerifyTestMain(m)
}

// room starts a master with this program as its only worker, and returns where it is.
func room(t *testing.T) (address string) {
	t.Helper()
	t.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")) // the worker has it at its exit
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	started, ended := make(chan master.Status, 1), make(chan error, 1)
	go func() {
		ended <- master.Run(ctx, master.Config{
			Listen:       []string{"127.0.0.1:0"},
			Program:      []string{self},
			Workers:      1,
			DrainTimeout: time.Second, // for who is left after a failure
			Started:      func(status master.Status) { started <- status },
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("master: %v", err)
			}
		case <-time.After(limit):
			t.Errorf("the master runs on after %v", limit)
		}
	})
	select {
	case status := <-started:
		return status.Listeners[0].Address
	case err := <-ended:
		ended <- err // for the cleanup
		t.Fatal("the master did not start")
	case <-time.After(limit):
		t.Fatalf("not started within %v", limit)
	}
	return ""
}

type guest struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func enter(t *testing.T, address string) *guest {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // if the test did not
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	g := &guest{t, conn, bufio.NewReader(conn)}
	g.say("hello\n") // who hears himself is in
	g.hear(g, "hello")
	return g
}

func (g *guest) say(text string) {
	g.t.Helper()
	if _, err := io.WriteString(g.conn, text); err != nil {
		g.t.Fatal(err)
	}
}

// hear reads a line that another, or g itself, said.
func (g *guest) hear(who *guest, line string) {
	g.t.Helper()
	want := fmt.Sprintf("%v: %s\n", who.conn.LocalAddr(), line)
	if got, err := g.in.ReadString('\n'); got != want || err != nil {
		g.t.Fatalf("%v heard %q, %v; want %q", g.conn.LocalAddr(), got, err, want)
	}
}

func (g *guest) leave() {
	g.t.Helper()
	if err := g.conn.(*net.TCPConn).CloseWrite(); err != nil {
		g.t.Error(err)
	}
	if rest, err := io.ReadAll(g.in); len(rest) > 0 || err != nil {
		g.t.Errorf("at the end: %q, %v; want nothing, no error", rest, err)
	}
	_ = g.conn.Close() // all is read
}

// Everyone hears everyone's lines, whole and in order, until they leave.
func TestChat(t *testing.T) {
	leaktest.Descriptors(t)
	address := room(t)
	a := enter(t, address)
	b := enter(t, address)
	a.hear(b, "hello")

	a.say("one\ntwo\nhalf ")
	b.say("three\n")
	// One sender's lines are in order, and both guests hear the same.
	for _, g := range []*guest{a, b} {
		var heard []string
		for range 3 {
			line, err := g.in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			heard = append(heard, line)
		}
		checkOrder(t, heard, fmt.Sprintf("%v: one\n", a.conn.LocalAddr()), fmt.Sprintf("%v: two\n", a.conn.LocalAddr()))
		checkOrder(t, heard, fmt.Sprintf("%v: three\n", b.conn.LocalAddr()))
	}
	a.say("a line\n")
	a.hear(a, "half a line")
	b.hear(a, "half a line")

	a.leave()
	b.say("anybody?\n")
	b.hear(b, "anybody?")
	b.leave()
}

// checkOrder checks that all lines of want were heard, in this order.
func checkOrder(t *testing.T, heard []string, want ...string) {
	t.Helper()
	n := 0
	for _, line := range heard {
		if n < len(want) && line == want[n] {
			n++
		}
	}
	if n < len(want) {
		t.Errorf("heard %q, want %q among it, in this order", heard, want)
	}
}

// Who says a line too long is sent away; the others are not bothered.
func TestTooLongALine(t *testing.T) {
	leaktest.Descriptors(t)
	address := room(t)
	a := enter(t, address)
	b := enter(t, address)
	a.hear(b, "hello")
	a.say(string(make([]byte, longestLine+1)))
	if rest, err := io.ReadAll(a.in); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v; want the end", rest, err)
	}
	_ = a.conn.Close() // it has ended
	b.say("anybody?\n")
	b.hear(b, "anybody?")
	b.leave()
}
