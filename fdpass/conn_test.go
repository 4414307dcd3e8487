package fdpass_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

// meet returns both ends of a connection, which are closed when the test ends.
func meet(t testing.TB) (dialed, accepted *fdpass.Conn) {
	t.Helper()
	leaktest.Descriptors(t)
	name := abstractName(t)
	l := listen(t, name)
	dialed, err := fdpass.Dial(soon(t), name)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err = l.Accept(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialed.Close(), accepted.Close() }) // the test may have closed one
	return dialed, accepted
}

// shortly is a context that is done soon, for waits that must end by it.
func shortly(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestConnPasses(t *testing.T) {
	a, b := meet(t)
	for _, count := range []int{0, 1, fdpass.MaxFDs} {
		sent, fds := null(t, count), make([]int, fdpass.MaxFDs)
		if err := a.Send(soon(t), []byte("payload"), sent); err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, 64)
		n, nfds, err := b.Receive(soon(t), payload, fds, exactly(count))
		if err != nil || string(payload[:n]) != "payload" || nfds != count {
			t.Fatalf("%q, %d descriptors, %v", payload[:n], nfds, err)
		}
		for i, fd := range fds[:nfds] {
			requireFlags(t, fd)
			if !sameFile(t, fd, sent[i]) {
				t.Errorf("descriptor %d of %d refers to another file", i, count)
			}
		}
		fdpass.CloseAll(fds[:nfds])
	}
}

// What waits ends with its context, and works again with another.
func TestReceiveWaits(t *testing.T) {
	a, b := meet(t)
	fds := make([]int, 1)
	if _, _, err := b.Receive(shortly(t), make([]byte, 1), fds, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	if _, _, err := b.Receive(cancelled(), make([]byte, 1), fds, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	received := make(chan error)
	go func() {
		_, _, err := b.Receive(soon(t), make([]byte, 1), fds, exactly(1))
		received <- err
	}()
	if err := a.Send(soon(t), []byte("x"), null(t, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-received; err != nil {
		t.Fatal(err)
	}
	fdpass.CloseAll(fds)
}

func TestSendWaits(t *testing.T) {
	a, b := meet(t)
	fds := null(t, 1)
	sent := 0
	var err error
	for err == nil {
		if err = a.Send(shortly(t), []byte("x"), fds); err == nil {
			sent++
		}
	}
	if !errors.Is(err, context.DeadlineExceeded) || sent == 0 {
		t.Fatalf("after %d packets: %v", sent, err)
	}
	sending := make(chan error)
	go func() { sending <- a.Send(soon(t), []byte("x"), fds) }()
	got := make([]int, 1)
	for range sent + 1 {
		if _, _, err := b.Receive(soon(t), make([]byte, 1), got, exactly(1)); err != nil {
			t.Fatal(err)
		}
		fdpass.CloseAll(got)
	}
	if err := <-sending; err != nil {
		t.Error(err)
	}
}

func TestConnRefuses(t *testing.T) {
	errExpect := errors.New("an expectation of its own")
	a, b := meet(t)
	tests := []struct {
		name   string
		sent   int
		room   int
		expect func([]byte) (int, error)
		want   error
	}{
		{"none where one was expected", 0, 2, exactly(1), fdpass.ErrMissing},
		{"two where one was expected", 2, 2, exactly(1), fdpass.ErrSurplus},
		{"two without room", 2, 1, nil, fdpass.ErrSurplus},
		{"the expectation's error", 2, 2, func([]byte) (int, error) { return 0, errExpect }, errExpect},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			leaktest.Descriptors(t)
			if err := a.Send(soon(t), []byte("x"), null(t, test.sent)); err != nil {
				t.Fatal(err)
			}
			n, nfds, err := b.Receive(soon(t), make([]byte, 1), make([]int, test.room), test.expect)
			if err != test.want || n != 0 || nfds != 0 {
				t.Errorf("got %d, %d, %v; want %v", n, nfds, err, test.want)
			}
		})
	}
	if err := a.Send(soon(t), nil, nil); err != fdpass.ErrEmptyPayload {
		t.Errorf("no payload: %v", err)
	}
	if err := a.Send(soon(t), []byte("x"), []int{-1}); !errors.Is(err, unix.EBADF) {
		t.Errorf("a descriptor that is not open: %v", err)
	}
}

func TestConnClosed(t *testing.T) {
	a, b := meet(t)
	received := make(chan error)
	go func() {
		_, _, err := a.Receive(soon(t), make([]byte, 1), nil, nil)
		received <- err
	}()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-received; !errors.Is(err, net.ErrClosed) {
		t.Errorf("receive on what is closed meanwhile: %v", err)
	}
	if err := a.Send(soon(t), []byte("x"), nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("send on what is closed: %v", err)
	}
	if _, err := a.Peer(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("peer of what is closed: %v", err)
	}
	if err := a.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("close twice: %v", err)
	}
	if _, _, err := b.Receive(soon(t), make([]byte, 1), nil, nil); err != fdpass.ErrPeerClosed {
		t.Errorf("receive from a closed peer: %v", err)
	}
	if err := b.Send(soon(t), []byte("x"), nil); err != fdpass.ErrPeerClosed {
		t.Errorf("send to a closed peer: %v", err)
	}
}

func TestAcceptWaits(t *testing.T) {
	leaktest.Descriptors(t)
	name := abstractName(t)
	l := listen(t, name)
	if _, err := l.Accept(shortly(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	c, err := fdpass.Dial(soon(t), name)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := l.Accept(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	_ = accepted.Close() // it was there
	ended := make(chan error)
	go func() {
		_, err := l.Accept(soon(t))
		ended <- err
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept on what is closed meanwhile: %v", err)
	}
}

func TestDialWaitsForAFullBacklog(t *testing.T) {
	leaktest.Descriptors(t)
	name := abstractName(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fdpass.CloseAll([]int{fd})
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: name}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	first, err := fdpass.Dial(soon(t), name)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := fdpass.Dial(shortly(t), name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	dialed := make(chan error)
	go func() {
		c, err := fdpass.Dial(soon(t), name)
		if err == nil {
			err = c.Close()
		}
		dialed <- err
	}()
	accepted, _, err := unix.Accept(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer fdpass.CloseAll([]int{accepted})
	if err := <-dialed; err != nil {
		t.Error(err)
	}
}
