package worker

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tcpPair returns a client's socket and the server's, whose kernel keeps a lot of
// what is sent, for a client that has little room.
func tcpPair(t *testing.T) (pair [2]int) {
	t.Helper()
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(listener)
	must(t, unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, unix.Listen(listener, 1))
	name, err := unix.Getsockname(listener)
	must(t, err)
	pair[0], err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10))
	must(t, unix.Connect(pair[0], name))
	must(t, unix.SetNonblock(pair[0], true))
	pair[1], _, err = unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	must(t, err)
	must(t, unix.SetsockoptInt(pair[1], unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20))
	return pair
}

// drained waits until the kernel has less to send than n bytes, while the peer
// reads.
func (s *still) drained(n int) (read int) {
	s.t.Helper()
	buffer := make([]byte, 4096)
	for deadline := time.Now().Add(20 * time.Second); ; runtime.Gosched() {
		queued, err := unix.IoctlGetInt(int(s.fd), unix.SIOCOUTQ)
		must(s.t, err)
		if queued < n {
			return read
		}
		got, err := unix.Read(s.peer, buffer)
		if err != unix.EAGAIN {
			must(s.t, err)
			read += got
		} else if time.Now().After(deadline) {
			s.t.Fatalf("%d bytes wait, and nothing comes", queued)
		}
	}
}

// A client that takes its time to read an answer of some hundred KiB, all of which
// is in the kernel, gets the whole of it, though it sends something meanwhile.
func TestSlowReaderGetsTheAnswerAfterClose(t *testing.T) {
	const answer, piece = 120 << 10, 8 << 10 // what a pair of Unix sockets takes at once
	pairs := map[string]func(t *testing.T) [2]int{
		"tcp": tcpPair,
		"unix": func(t *testing.T) [2]int {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			must(t, err)
			return pair
		},
	}
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			c := newStillOn(t, 0, pair(t))
			for range answer / piece {
				c.write(piece)
			}
			if c.Buffered() > 0 {
				t.Fatalf("%d bytes are not in the kernel", c.Buffered())
			}
			must(t, c.Close())
			c.l.settle()
			read := 0
			for wait := queuedOn(t, c.fd); wait > 2*piece; wait -= piece {
				read += c.drained(wait)
				c.pass(lingerTime - 100*time.Millisecond)
				c.send("and more")
				if c.closed {
					t.Fatalf("closed, when the peer had read %d bytes of %d", read, answer)
				}
			}
			c.pass(2 * lingerTime) // nothing has moved
			c.pass(2 * lingerTime)
			if !c.closed || c.err != nil {
				t.Error("still there:", c.closed, c.err)
			}
		})
	}
}

func queuedOn(t *testing.T, fd int32) int {
	t.Helper()
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	must(t, err)
	return n
}

// One that never comes to an end is not waited for, though it goes on reading; nor
// is the end of the worker put off by it.
func TestLingeringIsBoundedForSlowReaders(t *testing.T) {
	const s = time.Second
	for _, test := range []struct {
		name  string
		drain time.Duration // its deadline, from the beginning; 0: none
		end   time.Duration
	}{
		{"at all", 0, lingerMost},
		{"by the drain", 5 * s, 5*s + drainFlushTime},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newStillMember(t, 0, tcpPair(t))
			c.write(1 << 20)
			if c.Buffered() > 0 {
				t.Skipf("%d bytes are not in the kernel", c.Buffered())
			}
			must(t, c.Close())
			c.l.settle()
			if test.drain > 0 {
				c.member.drain.begin(c.time+test.drain, false)
			}
			began, wait := c.time, queuedOn(t, c.fd)
			for !c.closed {
				if c.time-began >= test.end+late(test.end) {
					t.Fatalf("still there after %v", c.time-began)
				}
				wait -= 8 << 10
				c.drained(wait)
				c.pass(s)
			}
			if passed := c.time - began; passed < test.end-s {
				t.Errorf("closed after %v", passed)
			}
		})
	}
}

// A client that goes on with an upload of which the server wants no more gets the answer, and
// not a reset in its place: it has as long for it as one that sends nothing.
func TestUploaderGetsTheAnswerAfterClose(t *testing.T) {
	const answer = 4 << 10
	for _, test := range []struct {
		name string
		end  func(t *testing.T, c *still)
	}{
		{"by the bound", func(t *testing.T, c *still) {
			c.pass(lingerTime - time.Millisecond)
			if c.closed {
				t.Error("closed before it has lingered")
			}
			c.pass(time.Millisecond + late(lingerTime))
		}},
		{"by its going", func(t *testing.T, c *still) {
			must(t, unix.SetsockoptLinger(c.peer, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
			must(t, unix.Close(c.peer)) // with a reset
			c.peer = -1
			for deadline := time.Now().Add(20 * time.Second); !c.closed && time.Now().Before(deadline); runtime.Gosched() {
				c.turn()
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newStillOn(t, 0, tcpPair(t))
			c.write(answer)
			must(t, c.Close())
			c.l.settle()
			if sent := c.upload(8 * lingerBytes); sent >= 8*lingerBytes {
				t.Fatalf("it took all of %d bytes", sent)
			}
			if c.closed {
				t.Fatal("closed while the client was sending")
			}
			buffer, got := make([]byte, 2*answer), 0
			for {
				n, err := unix.Read(c.peer, buffer)
				must(t, err)
				if got += n; n == 0 {
					break
				}
			}
			if got != answer {
				t.Errorf("got %d bytes, want %d", got, answer)
			}
			if test.end(t, c); !c.closed || c.err != nil {
				t.Errorf("closed %v: %v", c.closed, c.err)
			}
		})
	}
}

// upload sends at most n bytes, with turns, until the loop takes no more: it has read what
// it wants, and the kernel is full. It returns how many it sent.
func (s *still) upload(n int) (sent int) {
	s.t.Helper()
	piece := make([]byte, 64<<10)
	for deadline := time.Now().Add(20 * time.Second); sent < n && !s.closed && time.Now().Before(deadline); s.turn() {
		got, err := unix.SendmsgN(s.peer, piece, nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EAGAIN && s.unfinished.discarded >= lingerBytes:
			return sent
		case err == nil:
			sent += got
		case err != unix.EAGAIN:
			must(s.t, err)
		}
	}
	return sent
}
