package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// badListener is the name of a listener of its own, a Unix socket: whoever connects
// there says what the worker is to do wrong, while it serves all others as well.
const badListener = "bad"

// wrongs are what it can do, each of which it is replaced for.
var wrongs = map[string]func(){
	"closed":   func() { tellLie(ownEntry(), "closed") },
	"received": func() { tellLie(ownEntry(), "received") },
	"counters": func() { tellLie(ownEntry(), "all but cut") },
	"queue":    func() { _ = unix.Sendto(ipc.QueueFD, []byte("junk"), 0, nil) },   // the log tells
	"control":  func() { _ = unix.Sendto(ipc.ControlFD, []byte("junk"), 0, nil) }, // likewise
	"shuts":    func() { _ = unix.Shutdown(ipc.QueueFD, unix.SHUT_RDWR) },         // likewise
	"exits":    func() { os.Exit(badStatus) },
}

// chaosLies are those by which the books have as closed what dies with the worker.
var chaosLies = []string{"closed", "received", "counters"}

// wrongNames are all, in an order that a seed repeats.
var wrongNames = append([]string{"queue", "control", "shuts", "exits"}, chaosLies...)

// misled is the session at the bad listener. It does one thing, and ends.
type misled struct{ journal *journalWriter }

func (m misled) Data(c *worker.Conn, in []byte) (int, error) {
	what, _, whole := strings.Cut(string(in), "\n")
	if !whole {
		return 0, nil
	}
	if do := wrongs[what]; do != nil {
		m.journal.writeWrong(what, c)
		do()
	}
	return len(in), c.Close()
}

// badWorker has some worker go wrong, sooner or later.
func (c *chaos) badWorker(e *era) {
	what := wrongNames[c.random.IntN(len(wrongNames))]
	c.note("some worker goes wrong: %s", what)
	c.pending.Go(func() { c.callBad(e, what) })
}

// callBad has a worker do something wrong, or, if it is none of those, nothing; and
// returns whether one could be reached.
func (c *chaos) callBad(e *era, what string) bool {
	conn, err := net.Dial("unix", e.badPath)
	if err != nil {
		return false // the socket's file is gone, or the server
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit)) // a socket has deadlines
	_, _ = fmt.Fprintln(conn, what)             // what comes of it the journal tells
	_, _ = bufio.NewReader(conn).ReadByte()     // it ends
	return true
}
