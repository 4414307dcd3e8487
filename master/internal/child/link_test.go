package child

import (
	"os"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
	"golang.org/x/sys/unix"
)

// What a worker said on control before its end is heard before the end, however
// late it is read, and though the worker did not read what it was told.
func TestLinkHearsTheDead(t *testing.T) {
	leaktest.Descriptors(t)
	for range 100 {
		mine, its, err := fdpass.Pair()
		if err != nil {
			t.Fatal(err)
		}
		tail, stderr := newTestTail(t)
		heard := make(chan ipc.Message, 1)
		ended := make(chan ID, 1)
		id := ID{Slot: 1, Generation: 2, Incarnation: 3}
		l := newLink(id, control{os.NewFile(uintptr(mine), "control")}, tail, func(e Event) {
			switch e := e.(type) {
			case Said:
				heard <- e.Message
			case Exited:
				ended <- e.ID
			default:
				t.Errorf("%T: %+v", e, e)
			}
		})
		l.resume()
		if err := l.control.tell(ipc.Drain{Mode: ipc.DrainFinish}, -1); err != nil {
			t.Fatal(err)
		}
		moved, err := ipc.EncodeMessage(ipc.Moved{Staying: 3})
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Send(its, moved, unix.MSG_NOSIGNAL); err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(its)
		l.reaped(0, 0)
		l.pause() // for an upgrade that is being tried, which turns out not to be possible yet
		_ = (&Process{link: l}).State()
		l.resume()
		if got := <-ended; got != id {
			t.Fatalf("the end of %+v", got)
		}
		if len(heard) != 1 || <-heard != (ipc.Moved{Staying: 3}) {
			t.Fatal("it was not heard")
		}
		_ = l.control.Close()
		_ = stderr.Close()
	}
}
