package worker_test

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// A head and the small file behind it leave in one segment (MSG_MORE), so that a client
// wakes once for both. A processor that is away for long in between may have the kernel send
// the head by itself, once; never does it join what were two segments.
func TestSendFileSharesASegment(t *testing.T) {
	const size, attempts = 1000, 10
	f, content := randomFile(t, size)
	h := newRecorder(func(c *worker.Conn, in []byte) (int, error) {
		_, err := c.Write([]byte("head"))
		return len(in), errors.Join(err, c.SendFile(f, 0, size))
	})
	c := newRig(t, h).connect()
	for range attempts {
		before := dataSegments(t, c.Conn.(syscall.Conn))
		c.send("x")
		got := make([]byte, len("head")+size)
		_, err := io.ReadFull(c, got)
		check(t, err)
		if string(got) != "head"+string(content) {
			t.Fatal("not what was sent")
		}
		if dataSegments(t, c.Conn.(syscall.Conn))-before == 1 {
			return
		}
	}
	t.Errorf("%d times a head and a file came in two segments", attempts)
}

// dataSegments returns how many segments with data have come (tcp(7), TCP_INFO).
func dataSegments(t *testing.T, conn syscall.Conn) (n uint32) {
	t.Helper()
	raw, err := conn.SyscallConn()
	check(t, err)
	check(t, raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
		check(t, err)
		n = info.Data_segs_in
	}))
	return n
}
