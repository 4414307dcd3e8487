package worker_test

import (
	"io"
	"math"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// rawClient is a blocking socket to the worker: its system calls are the only
// work of the client's side.
func (s *rig) rawClient() (fd int) {
	s.t.Helper()
	fd, conn := rawPair(s.t, s.listen)
	s.hand(conn)
	return fd
}

// rawPair returns both ends of a connection to a listening socket: a blocking one, and
// a worker's.
func rawPair(t testing.TB, listen int) (fd, conn int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	name, err := unix.Getsockname(listen)
	check(t, err)
	check(t, unix.Connect(fd, name))
	check(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	conn, _, err = unix.Accept4(listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	check(t, err)
	return fd, conn
}

// bareClient is a rawClient of a loop without a master. finish closes it, and waits
// for the loop's end.
func bareClient(b *testing.B, idle time.Duration, h worker.Handler) (fd int, finish func()) {
	b.Helper()
	listening, _ := listen(b)
	fd, conn := rawPair(b, listening)
	ended := make(chan error, 1)
	go func() { ended <- worker.RunBare(h, idle, conn) }()
	return fd, func() {
		check(b, unix.Close(fd))
		check(b, await(b, ended))
		check(b, unix.Close(listening))
	}
}

// roundTrip sends out, and reads as much into in.
func roundTrip(b *testing.B, fd int, out, in []byte) {
	if n, err := unix.Write(fd, out); n != len(out) || err != nil {
		b.Fatal(n, err)
	}
	for got := 0; got < len(in); {
		n, err := unix.Read(fd, in[got:])
		if n <= 0 || err != nil {
			b.Fatal(n, err)
		}
		got += n
	}
}

// BenchmarkEchoRoundTrip must not allocate. What a master's worker does beside, in
// each turn, is in the last one.
func BenchmarkEchoRoundTrip(b *testing.B) {
	sizes := []struct {
		name  string
		bytes int
	}{{"64B", 64}, {"16KiB", 16 << 10}}
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) { benchmarkEcho(b, size.bytes, 0) })
		b.Run(size.name+"WithIdleTimeout", func(b *testing.B) { benchmarkEcho(b, size.bytes, time.Minute) })
	}
	b.Run("64BOfMember", func(b *testing.B) {
		s := newRig(b, worker.DataFunc(echo))
		fd := s.rawClient()
		var out, in [64]byte
		b.ReportAllocs()
		for b.Loop() {
			roundTrip(b, fd, out[:], in[:])
		}
		check(b, unix.Close(fd))
	})
}

func benchmarkEcho(b *testing.B, bytes int, timeout time.Duration) {
	fd, finish := bareClient(b, timeout, worker.DataFunc(echo))
	defer finish()
	out, in := make([]byte, bytes), make([]byte, bytes)
	b.ReportAllocs()
	b.SetBytes(int64(bytes))
	for b.Loop() {
		roundTrip(b, fd, out, in)
	}
}

// BenchmarkPipelined answers 16 requests of one read with 16 writes.
func BenchmarkPipelined(b *testing.B) {
	const requests, size = 16, 64
	fd, finish := bareClient(b, 0, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		n := 0
		for ; n+size <= len(in); n += size {
			if _, err := c.Write(in[n : n+size]); err != nil {
				return n, err
			}
		}
		return n, nil
	}))
	defer finish()
	var out, in [requests * size]byte
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, fd, out[:], in[:])
	}
}

// BenchmarkIntake is a connection's way from the queue to its session and, by
// the peer's end, to its close. An operation is one connection; they come 64 at
// a time.
func BenchmarkIntake(b *testing.B) {
	s := newRig(b, worker.DataFunc(echo))
	var peers [ipc.MaxConns]int
	e := ipc.Envelope{ID: 1}
	b.ReportAllocs()
	for done := 0; done < b.N; {
		n := min(len(peers), b.N-done)
		s.packet.Reset()
		for i := range n {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			check(b, err)
			peers[i] = pair[0]
			s.packet.Add(&e, pair[1])
		}
		check(b, s.packets.Send(s.queue, &s.packet))
		done += n
		for s.entry.Received.Load() < uint64(done) {
			runtime.Gosched()
		}
		fdpass.CloseAll(peers[:n])
		for s.entry.Closed.Load() < uint64(done) {
			runtime.Gosched()
		}
	}
}

// BenchmarkIdleConnections reports the heap that one idle connection takes.
func BenchmarkIdleConnections(b *testing.B) {
	b.Run("NoTimeout", func(b *testing.B) { benchmarkIdle(b, 0) })
	b.Run("IdleTimeout", func(b *testing.B) { benchmarkIdle(b, time.Hour) })
}

func benchmarkIdle(b *testing.B, timeout time.Duration) {
	const conns = 9000 // two descriptors each, of 20,000
	for b.Loop() {
		s := newRigWith(b, ipc.Hello{Protocol: ipc.Version, IdleTimeoutMS: timeout.Milliseconds()}, worker.DataFunc(echo))
		peers := make([]int, conns)
		s.lastID = 0
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range peers {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			check(b, err)
			peers[i] = pair[0]
			s.hand(pair[1])
			for s.entry.Received.Load() < uint64(i+1) {
				runtime.Gosched()
			}
		}
		for _, fd := range peers { // each has served something
			var buffer [64]byte
			_, err := unix.Write(fd, buffer[:])
			check(b, err)
			poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			for {
				if n, err := unix.Poll(poll, -1); err == nil && n == 1 {
					break
				}
			}
			_, err = unix.Read(fd, buffer[:])
			check(b, err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/conns, "heap-B/conn")
		b.ReportMetric(float64(after.HeapInuse-before.HeapInuse)/conns, "heap-inuse-B/conn")
		fdpass.CloseAll(peers)
		s.until(func() bool { return s.entry.Closed.Load() == conns })
	}
}

// BenchmarkStreamEcho is an echo by a goroutine per connection: as a stream, and
// as package net alone does it.
func BenchmarkStreamEcho(b *testing.B) {
	blocking := func(conn net.Conn) {
		buffer := make([]byte, 64)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			if _, err := conn.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	roundTrips := func(b *testing.B, fd int) {
		var out, in [64]byte
		b.ReportAllocs()
		for b.Loop() {
			_, err := unix.Write(fd, out[:])
			check(b, err)
			_, err = unix.Read(fd, in[:])
			check(b, err)
		}
		check(b, unix.Close(fd))
	}
	b.Run("Stream", func(b *testing.B) {
		s := newRig(b, goroutinePer(blocking))
		roundTrips(b, s.rawClient())
	})
	b.Run("Net", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(b, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := l.Accept()
			check(b, err)
			defer conn.Close()
			blocking(conn)
		}()
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		check(b, err)
		check(b, unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: l.Addr().(*net.TCPAddr).Port}))
		roundTrips(b, fd)
		<-done
		check(b, l.Close())
	})
}

// BenchmarkStreamAccept is a connection from connect to the program's close: as
// a stream, passed and counted; and by a listener of package net.
func BenchmarkStreamAccept(b *testing.B) {
	readEnd := func(b *testing.B, fd int) {
		n, err := unix.Read(fd, make([]byte, 1))
		check(b, err)
		if n != 0 {
			b.Fatal("not the end")
		}
		check(b, unix.Close(fd))
	}
	closing := func(l net.Listener, n int) error {
		for range n {
			conn, err := l.Accept()
			if err != nil {
				return err
			}
			check(b, conn.Close())
		}
		return nil
	}
	b.Run("Stream", func(b *testing.B) {
		s := newRig(b, worker.Streams(func(l net.Listener) error { return closing(l, math.MaxInt) }))
		b.ReportAllocs()
		for b.Loop() {
			readEnd(b, s.rawClient())
		}
	})
	b.Run("Session", func(b *testing.B) {
		s := newRig(b, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) { return worker.DataFunc(echo), c.Close() }))
		b.ReportAllocs()
		for b.Loop() {
			readEnd(b, s.rawClient())
		}
	})
	b.Run("Net", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(b, err)
		go func() { _ = closing(l, math.MaxInt) }() // it ends with the listener
		to := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: l.Addr().(*net.TCPAddr).Port}
		b.ReportAllocs()
		for b.Loop() {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			check(b, err)
			check(b, unix.Connect(fd, to))
			readEnd(b, fd)
		}
		check(b, l.Close())
	})
}

// BenchmarkMethods is the cost of a method in a callback, the look at whose
// goroutine calls included: of one that does nothing else, and of a small write.
func BenchmarkMethods(b *testing.B) {
	onLoop := func(b *testing.B, f func(c *worker.Conn)) {
		_, client, c, _ := opened(b)
		go func() { _, _ = io.Copy(io.Discard, client) }() // until the end
		done := make(chan struct{})
		c.Post(func(c *worker.Conn) {
			defer close(done)
			for b.Loop() {
				f(c)
			}
		})
		<-done
		check(b, client.Close())
	}
	b.Run("Flowing", func(b *testing.B) { onLoop(b, func(c *worker.Conn) { c.Flowing() }) })
	b.Run("Write", func(b *testing.B) {
		var line [64]byte
		onLoop(b, func(c *worker.Conn) { _, _ = c.Write(line[:]) })
	})
}
