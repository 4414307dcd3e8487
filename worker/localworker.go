package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/forworkertest"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

func init() { forworkertest.Serve = newLocalWorker }

// localWorker is a whole worker within this process, for package workertest, with what
// little of a master it needs: it hands over connections, and says drain and stop.
//
//	worker     a goroutine of its own  serve: the loop, with the real clock
//	messages   a goroutine of its own  reads what the worker says, until that has ended
//
// Any goroutine may call its methods.
type localWorker struct {
	queue   int      // the master's end, owned
	control *os.File // likewise
	board   *ipc.Scoreboard
	number  uint8         // the transport of all connections; 0: they are plain
	ready   chan struct{} // closed when the worker serves, or has ended
	serves  bool          // it has served; read after ready
	done    chan struct{} // closed when both goroutines have ended
	err     error         // what serve has returned; read after done

	mu      sync.Mutex // guards the following
	closed  bool       // nothing is handed over any more
	packets ipc.PacketConn
	packet  ipc.Packet
	lastID  uint64
}

// newLocalWorker is forworkertest.Serve.
func newLocalWorker(handler, opts any, tls *forworkertest.TLS) (forworkertest.Worker, error) {
	if running := int(clients.Add(1)); runtime.GOMAXPROCS(0) <= running {
		runtime.GOMAXPROCS(running + 1) // as for a client: see RunClient
	}
	w := &localWorker{ready: make(chan struct{}), done: make(chan struct{})}
	e, err := w.connect()
	if err != nil {
		clients.Add(-1)
		return nil, fmt.Errorf("worker: %w", err)
	}
	messages := make(chan struct{})
	go func() {
		defer close(messages)
		w.listen()
	}()
	go func() {
		defer close(w.done)
		w.err = serve(context.Background(), e, handler.(Handler), opts.([]Option)...)
		<-messages // they end with the worker's end of control
		clients.Add(-1)
	}()
	if err := w.hello(tls); err != nil {
		return nil, errors.Join(fmt.Errorf("worker: %w", err), w.Close())
	}
	if <-w.ready; !w.serves {
		return nil, cmp.Or(w.Close(), ErrStopped)
	}
	return w, nil
}

// connect makes both ends of the queue and of control, and an entry. It returns the
// worker's, owned.
func (w *localWorker) connect() (e endpoint, err error) {
	queue, workerQueue, err := fdpass.Pair()
	if err != nil {
		return e, err
	}
	control, workerControl, err := fdpass.Pair()
	if err != nil {
		fdpass.CloseAll([]int{queue, workerQueue})
		return e, err
	}
	if w.board, err = ipc.NewScoreboard(1); err != nil {
		fdpass.CloseAll([]int{queue, workerQueue, control, workerControl})
		return e, err
	}
	w.queue, w.control = queue, os.NewFile(uintptr(control), "control")
	exit := func(int) {} // a stop in vain: Close waits, and the test's own limit ends that
	return endpoint{queue: workerQueue, control: workerControl, entry: w.board.Entry(0), exit: exit}, nil
}

// listen reads what the worker says. That it is ready is all that matters.
func (w *localWorker) listen() {
	said := false
	buffer := make([]byte, ipc.MaxMessage+1)
	for {
		n, err := w.control.Read(buffer)
		if err == nil {
			var m ipc.Message
			m, err = ipc.ParseMessage(buffer[:n])
			_, isReady := m.(ipc.Ready)
			if isReady && !said {
				said, w.serves = true, true
				close(w.ready)
			}
		}
		if err != nil {
			if !said {
				close(w.ready)
			}
			return
		}
	}
}

// hello says the first message, with what the worker needs for TLS in a sealed memfd, as a
// master does.
func (w *localWorker) hello(tls *forworkertest.TLS) error {
	hello := ipc.Hello{Protocol: ipc.Version}
	if tls == nil {
		return w.tell(hello)
	}
	w.number = 1
	hello.TLS, hello.Transports = true, []ipc.Transport{{Number: w.number, TLS: true}}
	hello.TLSHandshakeTimeoutMS = milliseconds(tls.HandshakeTimeout)
	b, err := ipc.EncodeMessage(hello)
	if err != nil {
		return err
	}
	memfd, err := fdpass.Seal("secrets", tls.Secrets)
	if err != nil {
		return err
	}
	defer fdpass.CloseAll([]int{memfd}) // the worker has one of its own
	raw, err := w.control.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	waited := raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), b, unix.UnixRights(memfd), nil, unix.MSG_NOSIGNAL)
		return sent != unix.EAGAIN && sent != unix.EINTR
	})
	return errors.Join(waited, os.NewSyscallError("sendmsg", sent))
}

func (w *localWorker) tell(m ipc.Message) error {
	b, err := ipc.EncodeMessage(m)
	if err == nil {
		_, err = w.control.Write(b)
	}
	return err
}

// Adopt hands a connection over. It takes ownership of fd, even on error.
func (w *localWorker) Adopt(c forworkertest.Connection, fd int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		_ = unix.Close(fd) // nothing was written to it
		return ErrStopped
	}
	w.lastID++
	w.packet.Reset()
	e := ipc.Envelope{ID: w.lastID, Listener: c.Listener, Local: c.Local, Remote: c.Remote, Transport: w.number}
	if !w.packet.Add(&e, fd) {
		_ = unix.Close(fd) // likewise
		return errors.New("worker: the listener's name is too long")
	}
	for {
		err := w.packets.Send(w.queue, &w.packet)
		if err == nil {
			return nil
		}
		if !errors.Is(err, fdpass.ErrWouldBlock) {
			w.packet.Close()
			return fmt.Errorf("worker: %w", err)
		}
		ready := []unix.PollFd{{Fd: int32(w.queue), Events: unix.POLLOUT}}
		_, _ = unix.Poll(ready, -1) // an interrupted wait is tried again by Send
	}
}

// Drain has the connections finish, for no longer than deadline; 0: without limit.
func (w *localWorker) Drain(deadline time.Duration) error {
	return w.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: milliseconds(deadline)})
}

// milliseconds rounds up.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}

// Wait waits until the worker has ended, and returns its error.
func (w *localWorker) Wait() error {
	<-w.done
	return w.err
}

// Close stops the worker, if it has not ended, and waits until it has. It returns the
// worker's error. It is called once.
func (w *localWorker) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	_ = w.tell(ipc.Stop{}) // a worker that has ended does not hear it
	<-w.done
	_ = w.control.Close() // nothing is buffered
	_ = unix.Close(w.queue)
	_ = w.board.Close() // a mapping of this test's
	return w.err
}
