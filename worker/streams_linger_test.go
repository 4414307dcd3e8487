package worker_test

import (
	"net"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// A program's connection that has SO_LINGER, and whose client does not read, does
// not keep the loop, and so the worker, from ending at the drain's deadline.
func TestStreamsLingererEnds(t *testing.T) {
	begun := make(chan struct{})
	s := newRig(t, worker.Streams(func(l net.Listener) error {
		conn, err := l.Accept()
		check(t, err)
		check(t, conn.(*net.TCPConn).SetLinger(3600))
		go func() {
			for chunk := make([]byte, narrow); ; {
				if _, err := conn.Write(chunk); err != nil {
					return // the worker has ended it
				}
			}
		}()
		close(begun)
		_, err = l.Accept()
		return err
	}))
	c := s.connectNarrow()
	await(t, begun)
	s.until(func() bool { return s.entry.Received.Load() == 1 })
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: 1})
	s.wait()
	check(t, s.err)
	s.untilEven(1)
	check(t, c.Close())
}
