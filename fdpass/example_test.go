package fdpass_test

import (
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/usher-go/usher/fdpass"
	"golang.org/x/sys/unix"
)

func Example() {
	a, b, err := fdpass.Pair() // one end is usually another process's
	if err != nil {
		log.Fatal(err)
	}
	defer fdpass.CloseAll([]int{a, b})

	r, w, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	var sender fdpass.Sender
	if err := sender.Send(a, []byte("a pipe"), []int{int(w.Fd())}); err != nil {
		log.Fatal(err)
	}
	w.Close() // the packet holds a reference of its own

	var receiver fdpass.Receiver
	payload, fds := make([]byte, 64), make([]int, 8)
	n, nfds, err := receiver.Receive(b, payload, fds, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, %d descriptor\n", payload[:n], nfds)

	passed := os.NewFile(uintptr(fds[0]), "passed")
	fmt.Fprint(passed, "through it")
	passed.Close()
	got := make([]byte, 64)
	n, err = r.Read(got)
	fmt.Printf("%s %v\n", got[:n], err)
	// Output:
	// a pipe, 1 descriptor
	// through it <nil>
}

func ExamplePair() {
	a, b, err := fdpass.Pair()
	if err != nil {
		log.Fatal(err)
	}
	_, err = unix.Write(a, []byte("one packet"))
	fmt.Println(err)
	fdpass.CloseAll([]int{a, b})
	// Output: <nil>
}

func ExampleSender_Send() {
	a, b, err := fdpass.Pair()
	if err != nil {
		log.Fatal(err)
	}
	defer fdpass.CloseAll([]int{a, b})
	var sender fdpass.Sender
	switch err := sender.Send(a, []byte("standard output"), []int{1}); {
	case err == nil:
		fmt.Println("sent")
	case errors.Is(err, fdpass.ErrWouldBlock):
		fmt.Println("full: wait until it is writable")
	case errors.Is(err, fdpass.ErrTooManyRefs):
		fmt.Println("too many in flight: try again a little later")
	default:
		fmt.Println("broken:", err)
	}
	// Output: sent
}

func ExampleReceiver_Receive() {
	a, b, err := fdpass.Pair()
	if err != nil {
		log.Fatal(err)
	}
	defer fdpass.CloseAll([]int{a, b})
	var sender fdpass.Sender
	if err := sender.Send(a, []byte{2}, []int{1}); err != nil {
		log.Fatal(err)
	}

	// The first byte announces how many descriptors come along.
	announced := func(payload []byte) (int, error) { return int(payload[0]), nil }
	var receiver fdpass.Receiver
	payload, fds := make([]byte, 64), make([]int, 8)
	_, _, err = receiver.Receive(b, payload, fds, announced)
	fmt.Println(err)
	_, _, err = receiver.Receive(b, payload, fds, announced)
	fmt.Println(err)
	// Output:
	// fdpass: missing descriptors
	// fdpass: would block
}

func ExampleCloseAll() {
	a, b, err := fdpass.Pair()
	if err != nil {
		log.Fatal(err)
	}
	fds := []int{a, b}
	fdpass.CloseAll(fds)
	fmt.Println(fds)
	// Output: [-1 -1]
}
