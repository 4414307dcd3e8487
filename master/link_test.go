package master

import (
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
		words, stderr := newTestWords(t)
		heard := make(chan ipc.Message, 1)
		ended := make(chan unix.WaitStatus, 1)
		l := newLink(controlEnd{fileOf(mine, "control")}, words, processEvents{
			message: func(m ipc.Message) { heard <- m },
			broken:  func(err error) { t.Error(err) },
			exited:  func(status unix.WaitStatus) { ended <- status },
		})
		l.resume()
		if err := l.control.tell(ipc.Drain{Mode: ipc.DrainFinish}); err != nil {
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
		l.exited(0)
		l.pause() // for an upgrade that is being tried, which turns out not to be possible yet
		_ = l.process(0, -1, -1).heirloom()
		l.resume()
		<-ended
		if len(heard) != 1 || <-heard != (ipc.Moved{Staying: 3}) {
			t.Fatal("it was not heard")
		}
		_ = l.control.Close()
		_ = stderr.Close()
	}
}
