package tlshandshake

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/poller"
	"golang.org/x/sys/unix"
)

// BenchmarkHandshake compares the CPU of a handshake here, on a loop, with that of
// crypto/tls on a goroutine for each connection, as net/http has it. Both serve the same
// clients by TCP, in turns of 50 handshakes; what the clients' own threads take is
// subtracted. It reports microseconds, and the median of the turns' ratios.
//
//	go test -run XXX -bench Handshake -benchtime 40x ./internal/tlshandshake
func BenchmarkHandshake(b *testing.B) {
	for _, version := range versions {
		for _, resumed := range []bool{false, true} {
			for _, clients := range []int{1, 8} {
				b.Run(fmt.Sprintf("%s, resumed %v, %d clients", tls.VersionName(version), resumed, clients), func(b *testing.B) {
					compare(b, version, resumed, clients)
				})
			}
		}
	}
}

const turn = 16 // handshakes

func compare(b *testing.B, version uint16, resumed bool, clients int) {
	config := serverConfig(ecdsaKey())
	ours, theirs := listenBench(b), listenBench(b)
	go goroutines(theirs, config)
	l := newBenchLoop(b, ours, config)
	client := clientConfig(version)
	if resumed {
		client.ClientSessionCache = tls.NewLRUClientSessionCache(2 * clients)
	}
	shake(b, theirs, client, clients, clients) // and tickets are there
	shake(b, ours, client, clients, clients)
	var theirsCPU, oursCPU []float64
	for b.Loop() {
		theirsCPU = append(theirsCPU, shake(b, theirs, client, turn, clients))
		oursCPU = append(oursCPU, shake(b, ours, client, turn, clients))
	}
	report(b, theirsCPU, oursCPU)
	l.stop()
}

// report says what a handshake takes in the middle half of the turns, which are
// microseconds for one, and the ratio of the two.
func report(b *testing.B, theirs, ours []float64) {
	x, y := middle(theirs), middle(ours)
	b.ReportMetric(x, "theirs-µs")
	b.ReportMetric(y, "ours-µs")
	b.ReportMetric(y-x, "more-µs")
	b.ReportMetric(y/x, "ratio")
	b.ReportMetric(0, "ns/op")
}

// middle returns the mean of the middle half.
func middle(v []float64) float64 {
	slices.Sort(v)
	v = v[len(v)/4 : len(v)-len(v)/4]
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

func listenBench(b *testing.B) *net.TCPListener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// goroutines serves as net/http does, until the listener is closed.
func goroutines(l net.Listener, config *tls.Config) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			c := tls.Server(conn, config)
			if c.HandshakeContext(context.Background()) == nil {
				conn.SetDeadline(time.Time{})
				c.Write([]byte{1})
				c.Read(make([]byte, 1))
			}
		}()
	}
}

// shake has clients do handshakes, each to the first byte of the server, and returns the
// CPU of the server for one, in microseconds.
func shake(b *testing.B, l *net.TCPListener, config *tls.Config, n, clients int) float64 {
	before := usage(unix.CLOCK_PROCESS_CPUTIME_ID)
	var mu sync.Mutex
	var spent time.Duration
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			start := usage(unix.CLOCK_THREAD_CPUTIME_ID)
			for range n / clients {
				if err := shakeOnce(l.Addr().(*net.TCPAddr), config); err != nil {
					b.Error(err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			spent += usage(unix.CLOCK_THREAD_CPUTIME_ID) - start
		})
	}
	all.Wait()
	return float64(usage(unix.CLOCK_PROCESS_CPUTIME_ID)-before-spent) / float64(time.Microsecond) / float64(n/clients*clients)
}

func usage(clock int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

func shakeOnce(to *net.TCPAddr, config *tls.Config) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c := &blocking{fd: fd}
	defer c.Close()
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
		return err
	}
	t := tls.Client(c, config)
	if _, err = t.Read(make([]byte, 1)); err != nil {
		return err
	}
	if want := config.ClientSessionCache != nil; t.ConnectionState().DidResume != want {
		return nil // the first ones
	}
	return nil
}

// blocking is a socket whose calls block their thread, so that all that a client takes is
// that thread's.
type blocking struct {
	end // for what nobody asks
	fd  int
}

func (c *blocking) Read(p []byte) (int, error) {
	n, err := syscall.Read(c.fd, p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}
func (c *blocking) Write(p []byte) (int, error) { return syscall.Write(c.fd, p) }
func (c *blocking) Close() error                { return syscall.Close(c.fd) }
func (c *blocking) RemoteAddr() net.Addr        { return memoryAddress("server") }

// benchLoop is a loop as a worker has it: one thread, raw system calls.
type benchLoop struct {
	set      *poller.Set
	waker    *poller.Waker
	listener int
	config   *tls.Config
	pool     *Pool
	conns    map[uint64]*benchConn
	next     uint64
	buffer   [64 << 10]byte

	mu    sync.Mutex
	woken []uint64
	quit  bool
	ended chan struct{}
}

type benchConn struct {
	fd        int
	raw       []byte
	handshake *Handshake
	result    *Result
}

func newBenchLoop(b *testing.B, listener *net.TCPListener, config *tls.Config) *benchLoop {
	file, err := listener.File()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { file.Close() })
	fd := int(file.Fd())
	unix.SetNonblock(fd, true)
	set, waker, err := poller.NewWithWaker(0)
	if err != nil {
		b.Fatal(err)
	}
	set.Add(fd, poller.In, 1)
	l := &benchLoop{set: set, waker: waker, listener: fd, config: config, pool: NewPool(runtime.GOMAXPROCS(0)),
		conns: make(map[uint64]*benchConn), next: 2, ended: make(chan struct{})}
	go l.run()
	return l
}

func (l *benchLoop) stop() {
	l.mu.Lock()
	l.quit = true
	l.mu.Unlock()
	l.waker.Wake()
	<-l.ended
}

func (l *benchLoop) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(l.ended)
	events := make([]poller.Event, 64)
	for {
		l.set.Yield(l.pool.Computing() > 0)
		n, err := l.set.Wait(events, -1)
		if err != nil {
			panic(err)
		}
		for _, e := range events[:n] {
			switch e.Tag() {
			case 0:
				l.waker.Clear()
				l.mu.Lock()
				woken, quit := l.woken, l.quit
				l.woken = nil
				l.mu.Unlock()
				for _, tag := range woken {
					if c := l.conns[tag]; c != nil {
						l.take(c)
					}
				}
				if quit {
					l.waker.Close()
					l.set.Close()
					return
				}
			case 1:
				l.accept()
			default:
				l.read(e.Tag())
			}
		}
	}
}

func (l *benchLoop) accept() {
	for {
		fd, _, err := unix.Accept4(l.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1) // as net does
		l.conns[l.next] = &benchConn{fd: fd}
		l.set.Add(fd, poller.In, l.next)
		l.next++
	}
}

func (l *benchLoop) read(tag uint64) {
	c := l.conns[tag]
	if c == nil {
		return
	}
	n, _ := unix.Read(c.fd, l.buffer[:])
	if n <= 0 {
		if c.handshake != nil {
			c.handshake.Abandon()
		}
		l.set.Del(c.fd)
		unix.Close(c.fd)
		delete(l.conns, tag)
		return
	}
	b := l.buffer[:n]
	switch {
	case c.handshake != nil:
		c.handshake.Feed(b)
	case c.result != nil:
		c.result.Layer.Open(b)
	default:
		c.raw = append(c.raw, b...)
		if whole, _ := WholeHello(c.raw); whole {
			c.handshake = l.pool.Start(l.config, c.raw, memoryAddress("client"), memoryAddress("server"), func() {
				l.mu.Lock()
				l.woken = append(l.woken, tag)
				l.mu.Unlock()
				l.waker.Wake()
			})
			c.raw = nil
		}
	}
}

func (l *benchLoop) take(c *benchConn) {
	if c.handshake == nil {
		return
	}
	out, done := c.handshake.Take()
	if done {
		result, err := c.handshake.Result()
		if err != nil {
			panic(err)
		}
		c.handshake, c.result = nil, result
		out = result.Layer.Seal(out, []byte{1})
	}
	if len(out) > 0 {
		unix.Write(c.fd, out)
	}
}
