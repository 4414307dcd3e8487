package child

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// newTestControl returns a master's end of control, and the worker's.
func newTestControl(t *testing.T) (c control, its int) {
	t.Helper()
	leaktest.StartPoller(t)
	leaktest.Descriptors(t)
	mine, its, err := fdpass.Pair()
	if err != nil {
		t.Fatal(err)
	}
	c = control{os.NewFile(uintptr(mine), "control")}
	t.Cleanup(func() {
		_ = c.Close()
		fdpass.CloseAll([]int{its})
	})
	return c, its
}

// sealed returns a memfd, which is closed when the test ends.
func sealed(t *testing.T, text string) int {
	t.Helper()
	memory, err := fdpass.Seal("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fdpass.CloseAll([]int{memory}) })
	return memory
}

// received returns the next message at a worker's end, and what is in the memfd that it
// brings; empty: it brings none.
func received(t *testing.T, its int) (m ipc.Message, text string) {
	t.Helper()
	var receiver fdpass.Receiver
	payload, fds := make([]byte, ipc.MaxMessage), make([]int, 2)
	n, descriptors, err := receiver.Receive(its, payload, fds, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer fdpass.CloseAll(fds[:descriptors])
	if m, err = ipc.ParseMessage(payload[:n]); err != nil {
		t.Fatal(err)
	}
	if descriptors > 1 {
		t.Fatalf("%d descriptors came with %#v", descriptors, m)
	}
	if descriptors == 1 {
		b, err := fdpass.ReadSealed(fds[0], 100)
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	return m, text
}

// A message brings a memfd if it says so, and only then; the sender keeps its own.
func TestTellBringsMemory(t *testing.T) {
	for _, test := range []struct {
		name string
		m    ipc.Message
		want string
	}{
		{"hello with credentials", ipc.Hello{TLS: true}, "secret"},
		{"hello without", ipc.Hello{}, ""},
		{"ticket keys", ipc.TicketKeys{}, "secret"},
		{"another", ipc.Stop{}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, its := newTestControl(t)
			memory := sealed(t, "secret")
			for range 2 {
				if err := c.tell(test.m, memory); err != nil {
					t.Fatal(err)
				}
				if _, text := received(t, its); text != test.want {
					t.Errorf("it brings %q, want %q", text, test.want)
				}
			}
		})
	}
}

func TestTellFails(t *testing.T) {
	t.Run("no memfd", func(t *testing.T) {
		c, its := newTestControl(t)
		if err := c.tell(ipc.TicketKeys{}, -1); !errors.Is(err, unix.EBADF) {
			t.Errorf("%v, want EBADF", err)
		}
		if n, _ := unix.Read(its, make([]byte, 1)); n > 0 {
			t.Error("it was sent without its descriptor")
		}
	})
	t.Run("the worker does not read", func(t *testing.T) {
		c, _ := newTestControl(t)
		memory := sealed(t, "secret")
		var err error
		for range 100_000 {
			if err = c.tell(ipc.TicketKeys{}, memory); err != nil {
				break
			}
		}
		if !errors.Is(err, errDeaf) {
			t.Errorf("%v, want %v", err, errDeaf)
		}
	})
	t.Run("the worker is gone", func(t *testing.T) {
		c, its := newTestControl(t)
		if err := unix.Shutdown(its, unix.SHUT_RDWR); err != nil {
			t.Fatal(err)
		}
		if err := c.tell(ipc.TicketKeys{}, sealed(t, "secret")); !errors.Is(err, fdpass.ErrPeerClosed) {
			t.Errorf("%v, want %v", err, fdpass.ErrPeerClosed)
		}
	})
}

// A worker whose hello cannot be sent would wait for it in vain: its owner hears of that.
func TestLaunchWithoutItsHello(t *testing.T) {
	leaktest.Descriptors(t)
	l, p, heard := startWith(t, `exec sleep 1000`, ipc.Hello{Protocol: ipc.Version, App: strings.Repeat("a", ipc.MaxMessage)})
	if broken, ok := (<-heard).(Broken); !ok || broken.Slot != 3 || !strings.Contains(broken.Err.Error(), "encode hello") {
		t.Errorf("%+v, want Broken", broken)
	}
	l.Reaper.Signal(p.PID(), unix.SIGKILL)
	if e, ok := (<-heard).(Exited); !ok {
		t.Errorf("%T, want its end", e)
	}
	giveUp(p)
}
