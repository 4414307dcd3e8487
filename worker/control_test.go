package worker

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// newTestControl returns a control, and the master's end of it. Every descriptor is to be
// closed when the test ends.
func newTestControl(t *testing.T, log hclog.Logger) (c *control, master int) {
	t.Helper()
	leaktest.StartPoller(t)
	leaktest.Descriptors(t)
	master, fd, err := fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	c = newControl(fd, log)
	t.Cleanup(func() {
		c.close()
		fdpass.CloseAll([]int{master})
	})
	return c, master
}

// tell sends a message with so many memfds, each of which holds "keys".
func tell(t *testing.T, master int, m ipc.Message, memories int) {
	t.Helper()
	packet, err := ipc.EncodeMessage(m)
	if err != nil {
		t.Fatal(err)
	}
	var fds []int
	defer func() { fdpass.CloseAll(fds) }()
	for range memories {
		fd, err := fdpass.Seal("keys", []byte("keys"))
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	var sender fdpass.Sender
	if err := sender.Send(master, packet, fds); err != nil {
		t.Fatal(err)
	}
}

// expectKeys closes a memfd, after it has looked into it.
func expectKeys(t *testing.T, memory int) {
	t.Helper()
	defer fdpass.CloseAll([]int{memory})
	if flags, err := unix.FcntlInt(uintptr(memory), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the memfd's flags are %#x, %v: a program that is started would have it", flags, err)
	}
	if b, err := fdpass.ReadSealed(memory, 100); err != nil || string(b) != "keys" {
		t.Errorf("the memfd holds %q, %v", b, err)
	}
}

// Whatever comes with the first message, there is one owner for it, or it is closed.
func TestHelloBringsMemory(t *testing.T) {
	plain, keys := ipc.Hello{Protocol: ipc.Version}, ipc.Hello{Protocol: ipc.Version, TLS: true}
	tests := []struct {
		name     string
		first    ipc.Message // before hello, or nil
		hello    ipc.Message
		memories int
		err      string // empty: hello is returned
	}{
		{"none", nil, plain, 0, ""},
		{"one", nil, keys, 1, ""},
		{"one that is not announced", nil, plain, 1, ""},
		{"none, though it is announced", nil, keys, 0, "malformed: ipc.Hello without its descriptor"},
		{"one more than announced", nil, keys, 2, "surplus descriptors"},
		{"more than is thinkable", nil, keys, fdpass.MaxFDs, "surplus descriptors"},
		{"with another message", nil, ipc.TicketKeys{}, 1, "ipc.TicketKeys came first"},
		{"with a message of the future", ipc.Unknown{Type: "sing"}, keys, 1, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, master := newTestControl(t, hclog.NewNullLogger())
			if test.first != nil {
				tell(t, master, test.first, 1)
			}
			tell(t, master, test.hello, test.memories)
			hello, memory, err := c.hello()
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || memory != -1 {
					t.Errorf("%+v, memory %d, %v; want %s", hello, memory, err, test.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(ipc.Message(hello), test.hello) {
				t.Fatalf("%+v, %v", hello, err)
			}
			if hello.TLS {
				expectKeys(t, memory)
			} else if memory != -1 {
				t.Errorf("it returns memory %d, which was not announced", memory)
			}
		})
	}
}

// The listener passes on what a message brings, and goes on after one that is malformed.
func TestListenerBringsMemory(t *testing.T) {
	var output bytes.Buffer
	c, master := newTestControl(t, hclog.New(&hclog.LoggerOptions{Output: &output}))
	type heard struct {
		m      ipc.Message
		memory int
	}
	messages, gone := make(chan heard), make(chan struct{})
	c.listen(func(m ipc.Message, memory int) { messages <- heard{m, memory} }, func() { close(gone) })
	for range 2 {
		tell(t, master, ipc.TicketKeys{}, 1)
		got := <-messages
		if _, ok := got.m.(ipc.TicketKeys); !ok {
			t.Fatalf("heard %#v", got.m)
		}
		expectKeys(t, got.memory)
		tell(t, master, ipc.TicketKeys{}, 0) // malformed
		tell(t, master, ipc.TicketKeys{}, 2) // malformed
		tell(t, master, ipc.Unknown{Type: "sing"}, 1)
		if got := <-messages; got.memory != -1 || !reflect.DeepEqual(got.m, ipc.Message(ipc.Unknown{Type: "sing"})) {
			t.Fatalf("heard %#v", got)
		}
		tell(t, master, ipc.Move{Count: 1}, 1)
		if got := <-messages; got.memory != -1 || !reflect.DeepEqual(got.m, ipc.Message(ipc.Move{Count: 1})) {
			t.Fatalf("heard %#v", got)
		}
	}
	if err := unix.Shutdown(master, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	<-gone
	c.close()
	if ignored := strings.Count(output.String(), "control message ignored"); ignored != 4 {
		t.Errorf("%d messages were ignored, want 4:\n%s", ignored, output.String())
	}
}

// A process at its limit of descriptors does not take keys, and goes on to listen.
func TestListenerAtTheDescriptorLimit(t *testing.T) {
	c, master := newTestControl(t, hclog.NewNullLogger())
	tell(t, master, ipc.TicketKeys{}, 1)
	tell(t, master, ipc.Stop{}, 0)
	var in inbox
	atDescriptorLimit(t, func() {
		if m, memory, err := in.next(c); !errors.Is(err, fdpass.ErrRightsTruncated) || memory != -1 {
			t.Errorf("%#v, memory %d, %v", m, memory, err)
		}
	})
	if m, _, err := in.next(c); err != nil || !reflect.DeepEqual(m, ipc.Message(ipc.Stop{})) {
		t.Errorf("next is %#v, %v", m, err)
	}
}

// atDescriptorLimit runs f while this process can open no descriptor.
func atDescriptorLimit(t *testing.T, f func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}()
	f()
}

// close ends a listener that waits.
func TestListenerEndsWhenClosed(t *testing.T) {
	c, _ := newTestControl(t, hclog.NewNullLogger())
	c.listen(func(m ipc.Message, _ int) { t.Errorf("heard %#v", m) }, func() { t.Error("the master is gone") })
	c.close()
	if _, _, err := new(inbox).next(c); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}
