package worker_test

import (
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
func (s *seat) rawClient() (fd int) {
	s.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(s.t, err)
	name, err := unix.Getsockname(s.listen)
	check(s.t, err)
	check(s.t, unix.Connect(fd, name))
	check(s.t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	conn, _, err := unix.Accept4(s.listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	check(s.t, err)
	s.hand(conn)
	return fd
}

// BenchmarkEchoRoundTrip must not allocate.
func BenchmarkEchoRoundTrip(b *testing.B) {
	sizes := []struct {
		name  string
		bytes int
	}{{"64B", 64}, {"16KiB", 16 << 10}}
	for _, size := range sizes {
		b.Run(size.name, func(b *testing.B) { benchmarkEcho(b, size.bytes, 0) })
		b.Run(size.name+"WithIdleTimeout", func(b *testing.B) { benchmarkEcho(b, size.bytes, time.Minute) })
	}
}

func benchmarkEcho(b *testing.B, bytes int, timeout time.Duration) {
	s := newSeatWith(b, ipc.Hello{Protocol: ipc.Version, IdleTimeoutMS: timeout.Milliseconds()}, worker.DataFunc(echo))
	fd := s.rawClient()
	out, in := make([]byte, bytes), make([]byte, bytes)
	b.ReportAllocs()
	b.SetBytes(int64(bytes))
	for b.Loop() {
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
	check(b, unix.Close(fd))
}

// BenchmarkPipelined answers 16 requests of one read with 16 writes.
func BenchmarkPipelined(b *testing.B) {
	const requests, size = 16, 64
	s := newSeat(b, worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
		n := 0
		for ; n+size <= len(in); n += size {
			if _, err := c.Write(in[n : n+size]); err != nil {
				return n, err
			}
		}
		return n, nil
	}))
	fd := s.rawClient()
	var out, in [requests * size]byte
	b.ReportAllocs()
	for b.Loop() {
		if n, err := unix.Write(fd, out[:]); n != len(out) || err != nil {
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
	check(b, unix.Close(fd))
}

// BenchmarkIntake is a connection's way from the queue to its session and, by
// the peer's end, to its close. An operation is one connection; they come 64 at
// a time.
func BenchmarkIntake(b *testing.B) {
	s := newSeat(b, worker.DataFunc(echo))
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
		check(b, s.courier.Send(s.queue, &s.packet))
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
		s := newSeatWith(b, ipc.Hello{Protocol: ipc.Version, IdleTimeoutMS: timeout.Milliseconds()}, worker.DataFunc(echo))
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
