package fdpass_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/usher-go/usher/fdpass"
	"golang.org/x/sys/unix"
)

// Another program, which knows nothing but the path, sends a regular file that
// has no name any more.
func ExampleReceiveOne() {
	path, leave := meetingPlace()
	defer leave()
	other := program("send a file", path) // ends with fdpass.SendOne(ctx, path, fd)
	if err := other.Start(); err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fd, err := fdpass.ReceiveOne(ctx, path)
	if err != nil {
		log.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "passed")
	defer file.Close()
	content, err := io.ReadAll(file)
	fmt.Printf("%s%v\n", content, err)
	fmt.Println(other.Wait())
	// Output:
	// a line from a file
	// <nil>
	// <nil>
}

// Another program sends the reading end of a pipe, and then writes.
func ExampleReceiveOne_pipe() {
	path, leave := meetingPlace()
	defer leave()
	other := program("send a pipe", path)
	if err := other.Start(); err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fd, err := fdpass.ReceiveOne(ctx, path)
	if err != nil {
		log.Fatal(err)
	}
	pipe := os.NewFile(uintptr(fd), "passed")
	defer pipe.Close()
	content, err := io.ReadAll(pipe) // until the other program has closed its end
	fmt.Printf("%s%v\n", content, err)
	fmt.Println(other.Wait())
	// Output:
	// written after it was passed
	// <nil>
	// <nil>
}

// Another program sends an eventfd(2) and waits until it is told a number.
func ExampleReceiveOne_eventfd() {
	path, leave := meetingPlace()
	defer leave()
	other := program("send an eventfd", path)
	other.Stdout = os.Stdout
	if err := other.Start(); err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fd, err := fdpass.ReceiveOne(ctx, path)
	if err != nil {
		log.Fatal(err)
	}
	defer fdpass.CloseAll([]int{fd})
	if _, err := unix.Write(fd, []byte{42, 0, 0, 0, 0, 0, 0, 42}); err != nil { // 42 in either byte order
		log.Fatal(err)
	}
	fmt.Println(other.Wait())
	// Output:
	// told 42
	// <nil>
}

// Another program receives a pipe and prints what comes out of it. Here it is
// started last: SendOne waits for it.
func ExampleSendOne() {
	path, leave := meetingPlace()
	defer leave()
	other := program("receive", path) // calls fdpass.ReceiveOne(ctx, path)
	other.Stdout = os.Stdout

	r, w, err := os.Pipe()
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	sent := make(chan error)
	go func() { sent <- fdpass.SendOne(ctx, path, int(r.Fd())) }()
	if err := other.Start(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-sent)
	r.Close()
	fmt.Fprintln(w, "out of the pipe")
	w.Close()
	fmt.Println(other.Wait())
	// Output:
	// <nil>
	// out of the pipe
	// <nil>
}

// A live connection is borrowed through its SyscallConn, which keeps it open and
// non-blocking meanwhile.
func ExampleSendOne_connection() {
	path, leave := meetingPlace()
	defer leave()
	other := program("receive", path)
	other.Stdout = os.Stdout
	if err := other.Start(); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		log.Fatal(err)
	}

	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var sent error
	err = raw.Control(func(fd uintptr) { sent = fdpass.SendOne(ctx, path, int(fd)) })
	fmt.Println(err, sent)
	conn.Close() // the other program has it now

	fmt.Fprintln(client, "from the client")
	client.Close()
	fmt.Println(other.Wait())
	// Output:
	// <nil> <nil>
	// from the client
	// <nil>
}

func ExampleListen() {
	path, leave := meetingPlace()
	defer leave()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	listener, err := fdpass.Listen(ctx, path)
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	_, err = fdpass.Listen(ctx, path)
	fmt.Println(errors.Is(err, unix.EADDRINUSE))

	other := program("send two", path)
	if err := other.Start(); err != nil {
		log.Fatal(err)
	}
	conn, err := listener.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	payload, fds := make([]byte, 64), make([]int, 8)
	n, nfds, err := conn.Receive(ctx, payload, fds, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q, %d descriptors\n", payload[:n], nfds)
	fdpass.CloseAll(fds[:nfds])
	fmt.Println(other.Wait())
	// Output:
	// true
	// "x", 2 descriptors
	// <nil>
}

// Another program listens at a name in the abstract namespace.
func ExampleDial() {
	name := fmt.Sprintf("@fdpass-example-%d", os.Getpid())
	other := program("serve", name)
	stdout, err := other.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := other.Start(); err != nil {
		log.Fatal(err)
	}
	output := bufio.NewReader(stdout)
	ready, err := output.ReadString('\n') // it says so once it listens
	fmt.Print(ready, err, "\n")

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := fdpass.Dial(ctx, name)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Send(ctx, []byte("input and output"), []int{0, 1}); err != nil {
		log.Fatal(err)
	}
	rest, err := io.ReadAll(output)
	fmt.Printf("%s%v %v\n", rest, err, other.Wait())
	// Output:
	// ready
	// <nil>
	// input and output, 2 descriptors
	// <nil> <nil>
}

// An abstract name has no permissions: whoever listens there says who is
// welcome.
func ExampleConn_Peer() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	name := fmt.Sprintf("@fdpass-peer-%d", os.Getpid())
	listener, err := fdpass.Listen(ctx, name)
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	other := program("dial", name)
	if err := other.Start(); err != nil {
		log.Fatal(err)
	}

	conn, err := listener.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	switch peer, err := conn.Peer(); {
	case err != nil:
		log.Fatal(err)
	case peer.UID != os.Geteuid():
		fmt.Printf("refused: uid %d, pid %d then\n", peer.UID, peer.PID)
	default:
		fmt.Println("welcome, and from the process expected:", peer.PID == other.Process.Pid)
	}
	fmt.Println(other.Wait())
	// Output:
	// welcome, and from the process expected: true
	// <nil>
}

func ExamplePeerOf() {
	a, b, err := fdpass.Pair()
	if err != nil {
		log.Fatal(err)
	}
	defer fdpass.CloseAll([]int{a, b})
	peer, err := fdpass.PeerOf(a)
	fmt.Println(peer == fdpass.Peer{PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid()}, err)
	// Output: true <nil>
}
