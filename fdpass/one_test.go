package fdpass_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

func TestReceiveOneIsCloseOnExec(t *testing.T) {
	leaktest.Descriptors(t)
	path := folder(t) + "/x"
	cmd, _ := start(t, "send a file", path)
	fd, err := fdpass.ReceiveOne(soon(t), path)
	if err != nil {
		t.Fatal(err)
	}
	requireFlags(t, fd)
	fdpass.CloseAll([]int{fd})
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, unix.ENOENT) {
		t.Errorf("the name after: %v", err)
	}
}

func TestReceiveOneRefuses(t *testing.T) {
	for what, want := range map[string]error{
		"send none": fdpass.ErrMissing,
		"send two":  fdpass.ErrSurplus,
		"send long": fdpass.ErrPayloadTruncated,
	} {
		t.Run(what, func(t *testing.T) {
			leaktest.Descriptors(t)
			path := folder(t) + "/x"
			cmd, _ := start(t, what, path)
			if fd, err := fdpass.ReceiveOne(soon(t), path); err != want || fd != -1 {
				t.Errorf("got %d, %v; want %v", fd, err, want)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); !errors.Is(err, unix.ENOENT) {
				t.Errorf("the name after: %v", err)
			}
		})
	}
}

// No peer, and one that connects and says nothing.
func TestReceiveOneEndsWithItsContext(t *testing.T) {
	leaktest.Descriptors(t)
	path := folder(t) + "/x"
	if fd, err := fdpass.ReceiveOne(shortly(t), path); !errors.Is(err, context.DeadlineExceeded) || fd != -1 {
		t.Errorf("got %d, %v; want DeadlineExceeded", fd, err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	received := make(chan error)
	go func() {
		_, err := fdpass.ReceiveOne(ctx, path)
		received <- err
	}()
	cmd, output := startReady(t, "hang", path, nil)
	cancel()
	if err := <-received; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	if line, err := output.ReadString('\n'); line != "fdpass: peer closed\n" {
		t.Errorf("the peer was told %q, %v", line, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A peer that ends without a word does not end the wait for one that has
// something; nor does a user who is not welcome.
func TestReceiveOnePassesOver(t *testing.T) {
	leaktest.Descriptors(t)
	name := abstractName(t) // which any user may connect to
	type result struct {
		fd  int
		err error
	}
	received := make(chan result)
	go func() {
		fd, err := fdpass.ReceiveOne(soon(t), name)
		received <- result{fd, err}
	}()
	c, err := dialWhenThere(soon(t), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		stranger := program("visit", name)
		stranger.SysProcAttr = asNobody(t)
		if output, err := stranger.Output(); !strings.HasSuffix(string(output), "fdpass: peer closed\n") {
			t.Errorf("the stranger saw %q, %v", output, err)
		}
	}
	sent := null(t, 1)
	if err := fdpass.SendOne(soon(t), name, sent[0]); err != nil {
		t.Fatal(err)
	}
	got := <-received
	if got.err != nil {
		t.Fatal(got.err)
	}
	if !sameFile(t, got.fd, sent[0]) {
		t.Error("another's file came through")
	}
	fdpass.CloseAll([]int{got.fd})
}

// What a receiver did not take is sent again: to the next.
func TestSendOneOutlivesReceivers(t *testing.T) {
	leaktest.Descriptors(t)
	name := abstractName(t)
	fds := null(t, 1)
	listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(listener, &unix.SockaddrUnix{Name: name}), unix.Listen(listener, 8)); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- fdpass.SendOne(soon(t), name, fds[0]) }()

	accepted, _, err := unix.Accept(listener)
	if err != nil {
		t.Fatal(err)
	}
	waitReadable(t, accepted) // the packet is there
	fdpass.CloseAll([]int{accepted})
	waitReadable(t, listener) // it is back, and not accepted
	fdpass.CloseAll([]int{listener})

	fd, err := fdpass.ReceiveOne(soon(t), name)
	if err != nil {
		t.Fatal(err)
	}
	fdpass.CloseAll([]int{fd})
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func waitReadable(t *testing.T, fd int) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		if n == 1 {
			return
		}
		if err != unix.EINTR {
			t.Fatal(n, err)
		}
	}
}

// A receiver that keeps its connection until the sender is done.
func TestSendOneToAPatientReceiver(t *testing.T) {
	leaktest.Descriptors(t)
	path := folder(t) + "/x"
	l := listen(t, path)
	sent := make(chan error)
	fds := null(t, 1)
	go func() { sent <- fdpass.SendOne(soon(t), path, fds[0]) }()
	c, err := l.Accept(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	got, packets := make([]int, 1), 0
	for ; err == nil; packets++ {
		if _, _, err = c.Receive(soon(t), make([]byte, 1), got, exactly(1)); err == nil {
			fdpass.CloseAll(got)
		}
	}
	if err != fdpass.ErrPeerClosed || packets != 2 {
		t.Errorf("packet %d: %v", packets, err)
	}
	if err := c.Send(soon(t), []byte("thanks"), nil); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestSendOneEnds(t *testing.T) {
	leaktest.Descriptors(t)
	dir := folder(t)
	fds := null(t, 1)
	l := listen(t, dir+"/deaf") // accepts nobody
	tests := []struct {
		name string
		at   string
		fd   int
		want error
	}{
		{"nobody there", dir + "/x", fds[0], context.DeadlineExceeded},
		{"not taken", dir + "/deaf", fds[0], context.DeadlineExceeded},
		{"not open", dir + "/deaf", -1, unix.EBADF},
		{"no name", "", fds[0], unix.EINVAL},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := fdpass.SendOne(shortly(t), test.at, test.fd); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
