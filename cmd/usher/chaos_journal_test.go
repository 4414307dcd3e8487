package main

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// The journal says which process had which connection, and when: each worker
// appends a line, in one write(2), for whatever becomes of a connection of its own.
// What it has written before it is killed is there; and since a connection leaves
// a worker before it arrives at another, the order of the lines is that in which
// things happened.
//
//	open ───────────────┐                          ┌─► close
//	arrive ─┬─► thaw ───┴─► freeze (perhaps in vain)┴─► arrive, at another
//	        ├─► refuse ─► close
//	        └─► exit
const (
	deedOpen   = "open"   // a new connection
	deedArrive = "arrive" // one that has moved here
	deedThaw   = "thaw"   // its state is restored
	deedRefuse = "refuse" // it could not be
	deedExit   = "exit"   // and the process ends of it
	deedFreeze = "freeze" // it is to leave
	deedClose  = "close"  // it is closed
	deedWrong  = "wrong"  // of one at the bad listener: the worker goes wrong
)

// deed is a line of the journal.
type deed struct {
	at      time.Duration // CLOCK_MONOTONIC
	pid     int
	program string
	what    string
	conn    uint64 // unique for the life of the master, whose journal this is
	peer    netip.AddrPort
	reason  string
}

func (d deed) String() string {
	return fmt.Sprintf("%s by worker %d (%s) %s", d.what, d.pid, d.program, d.reason)
}

// monotonic reads CLOCK_MONOTONIC, which all processes share.
func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock (clock_gettime(2))
	return time.Duration(ts.Nano())
}

// journalWriter is the journal in a worker.
type journalWriter struct {
	file    *os.File
	program string
}

func openJournal(path, program string) (*journalWriter, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	return &journalWriter{file, program}, err
}

func (j *journalWriter) write(what string, c *worker.Conn, reason error) {
	text := ""
	if reason != nil {
		text = reason.Error()
	}
	j.append(what, c.ID(), c.RemoteAddr(), text)
}

// writeWrong writes what the worker does wrong next.
func (j *journalWriter) writeWrong(what string, c *worker.Conn) {
	j.append(deedWrong, c.ID(), netip.AddrPortFrom(netip.IPv4Unspecified(), 0), what) // a Unix socket has none
}

func (j *journalWriter) append(what string, conn uint64, peer netip.AddrPort, text string) {
	line := fmt.Appendf(nil, "%d %d %s %s %d %s %q\n", monotonic(), os.Getpid(), j.program, what, conn, peer, text)
	if _, err := j.file.Write(line); err != nil {
		panic(err) // nothing could be explained
	}
}

// journal is what all workers of a master wrote.
type journal struct {
	conns map[uint64][]deed           // by connection, in order
	peers map[netip.AddrPort][]uint64 // connections by who opened them
	exits map[int]deed                // by pid
	wrong map[int]deed                // the first of each process, by pid
}

func newJournal() *journal {
	return &journal{make(map[uint64][]deed), make(map[netip.AddrPort][]uint64), make(map[int]deed), make(map[int]deed)}
}

// readJournal is for when nobody writes it any more. None was written if no
// connection has come.
func readJournal(path string) (*journal, error) {
	j := newJournal()
	file, err := os.Open(path)
	if err != nil {
		return j, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var d deed
		var peer string
		if _, err := fmt.Sscanf(lines.Text(), "%d %d %s %s %d %s %q", &d.at, &d.pid, &d.program, &d.what, &d.conn, &peer, &d.reason); err != nil {
			return nil, fmt.Errorf("%q: %w", lines.Text(), err)
		}
		if d.peer, err = netip.ParseAddrPort(peer); err != nil {
			return nil, err
		}
		j.add(d)
	}
	return j, lines.Err()
}

func (j *journal) add(d deed) {
	if d.what == deedWrong {
		if _, again := j.wrong[d.pid]; !again {
			j.wrong[d.pid] = d
		}
		return
	}
	if len(j.conns[d.conn]) == 0 {
		j.peers[d.peer] = append(j.peers[d.peer], d.conn)
	}
	j.conns[d.conn] = append(j.conns[d.conn], d)
	if d.what == deedExit {
		j.exits[d.pid] = d
	}
}

// deeds returns what became of a client's connection; nothing if no worker has
// opened it. One that had no answer does not know its number, but its address,
// which may be another's after it, or before.
func (j *journal) deeds(f failure) []deed {
	if f.conn != 0 {
		return j.conns[f.conn]
	}
	for _, conn := range j.peers[f.peer] {
		if first := j.conns[conn][0]; first.at >= f.begun && first.at <= f.at {
			return j.conns[conn]
		}
	}
	return nil
}

// strays returns what cannot be: deeds of a process that did not have the
// connection.
func (j *journal) strays() (found []string) {
	for conn, deeds := range j.conns {
		var last deed
		for _, d := range deeds {
			if !d.follows(last) {
				found = append(found, fmt.Sprintf("connection %d of %v: %v, after %v", conn, d.peer, d, last))
			}
			last = d
		}
	}
	return found
}

// follows reports whether d can come after last, which is empty at the beginning.
func (d deed) follows(last deed) bool {
	switch d.what {
	case deedOpen:
		return last.what == ""
	case deedArrive:
		return last.what == deedFreeze
	case deedThaw, deedRefuse, deedExit:
		return last.what == deedArrive && last.pid == d.pid
	case deedFreeze:
		return last.pid == d.pid && (last.what == deedOpen || last.what == deedThaw || last.what == deedFreeze)
	}
	return last.pid == d.pid && last.what != deedClose
}
