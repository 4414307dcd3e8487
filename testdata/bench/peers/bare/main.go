// The least that an HTTP server in Go can cost that reads requests by net/http: an epoll
// loop in each of two processes, http.ReadRequest, and the same answer each time. It knows
// nothing of bodies, of slow clients or of requests in pieces.
//
//	bare PORT [of its own: a process that serves]
package main

import (
	"bufio"
	"bytes"
	"log"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	processes = 2
	// heapFloor keeps the collector as seldom as it is in package web.
	heapFloor = 16 << 20
)

var answer = []byte("HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\nDate: Fri, 27 Nov 2026 08:26:43 GMT\r\n\r\nhello, world\n")

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if len(os.Args) > 2 {
		log.Fatal(serve(port))
	}
	for range processes - 1 {
		child := exec.Command(os.Args[0], os.Args[1], "of its own")
		child.Stderr = os.Stderr
		child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		runtime.LockOSThread() // a child dies with the thread that began it
		if err := child.Start(); err != nil {
			log.Fatal(err)
		}
	}
	log.Fatal(serve(port))
}

// serve is a loop over all connections of the process.
func serve(port int) error {
	runtime.LockOSThread()
	floor := make([]byte, heapFloor)
	defer runtime.KeepAlive(floor)
	listener, err := listen(port)
	if err != nil {
		return err
	}
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := watch(set, listener); err != nil {
		return err
	}
	events := make([]unix.EpollEvent, 128)
	in := make([]byte, 64<<10)
	for {
		n, err := unix.EpollWait(set, events, -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			if fd := int(e.Fd); fd != listener {
				exchange(fd, in)
			} else if conn, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC); err == nil {
				if err := watch(set, conn); err != nil {
					return err
				}
			}
		}
	}
}

// listen makes a listening socket for one of several processes.
func listen(port int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	return fd, unix.Listen(fd, 4096)
}

func watch(set, fd int) error {
	return unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

var (
	source bytes.Reader
	reader = bufio.NewReader(&source)
)

// exchange reads one request and answers it.
func exchange(fd int, in []byte) {
	n, err := unix.Read(fd, in)
	if err == nil && n > 0 {
		source.Reset(in[:n])
		reader.Reset(&source)
		if _, err = http.ReadRequest(reader); err == nil {
			_, err = unix.Write(fd, answer)
		}
	}
	if err != nil && err != unix.EAGAIN || n == 0 {
		_ = unix.Close(fd)
	}
}
