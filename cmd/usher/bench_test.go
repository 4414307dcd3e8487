package main

import (
	"bufio"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

func init() {
	helpers["worker-greeting"] = func() {
		greeting := []byte("!")
		worker.Main(worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
			_, err := c.Write(greeting)
			return worker.DataFunc(func(_ *worker.Conn, in []byte) (int, error) { return len(in), nil }), err
		}))
	}
}

// One connection after another through the real server: connected, accepted,
// dispatched, its session opened, whose greeting the client reads and resets
// the connection. The client's three or four system calls are included.
func BenchmarkAcceptToSession(b *testing.B) {
	address := serveBenchmark(b, "--workers", "1", "--", self(), "worker-greeting")
	to := netip.MustParseAddrPort(address)
	sa := &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	reset := &unix.Linger{Onoff: 1} // no port stays in TIME_WAIT
	greeting := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		if err := unix.Connect(fd, sa); err != nil {
			b.Fatal(err)
		}
		if n, err := unix.Read(fd, greeting); n != 1 {
			b.Fatalf("%d bytes, %v", n, err)
		}
		if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, reset); err != nil {
			b.Fatal(err)
		}
		if err := unix.Close(fd); err != nil {
			b.Fatal(err)
		}
	}
}

// serveBenchmark runs a server until the benchmark ends, and returns its address.
func serveBenchmark(b *testing.B, args ...string) (address string) {
	cmd, mark := command(append([]string{
		"serve", "--listen", "127.0.0.1:0", "--control", filepath.Join(b.TempDir(), "c"),
	}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		killMarked(mark)
		_ = cmd.Wait() // killed: it has no better end
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	match := startLine.FindStringSubmatch(line[:len(line)-1])
	if match == nil {
		b.Fatalf("start line %q", line)
	}
	return match[1]
}
