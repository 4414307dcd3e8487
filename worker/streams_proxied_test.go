package worker_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// withProxy trusts the clients of a test.
var withProxy = ipc.Transport{Proxy: true, Trust: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// proxyV2 makes a header of version 2.
func proxyV2(command, family byte, block string) string {
	fixed := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), command, family)
	return string(binary.BigEndian.AppendUint16(fixed, uint16(len(block)))) + block
}

const (
	headerV1 = "PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\n"
	blockV2  = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x03\xe8\x07\xd0"
)

var proxyOfV1 = worker.Proxy{Version: 1, Source: netip.MustParseAddrPort("192.0.2.1:1000"), Destination: netip.MustParseAddrPort("192.0.2.2:2000")}

// proxySeen is what a program sees of a connection.
type proxySeen struct {
	remote, local string
	proxy         worker.Proxy
	proxied       bool
}

func seenOf(conn net.Conn) proxySeen {
	proxy, ok := worker.ProxyOf(conn)
	return proxySeen{conn.RemoteAddr().String(), conn.LocalAddr().String(), proxy, ok}
}

// What the header says, however it comes, is what the program sees; and what follows it is
// the first that the program reads.
func TestStreamProxied(t *testing.T) {
	seen := make(chan proxySeen, 1)
	h := goroutinePer(func(conn net.Conn) {
		seen <- seenOf(conn)
		streamEcho(conn)
		check(t, conn.(interface{ CloseWrite() error }).CloseWrite())
	})
	withTLV := proxyOfV1
	withTLV.Version, withTLV.TLVs = 2, []worker.ProxyTLV{{Type: 5, Value: []byte("id")}}
	long := proxyOfV1
	long.Version, long.TLVs = 2, []worker.ProxyTLV{{Type: 0xe0, Value: []byte(strings.Repeat("x", 4000))}}
	const remote, local = "192.0.2.1:1000", "192.0.2.2:2000"
	tests := []struct {
		name, header string
		want         proxySeen // no addresses: those of the socket
	}{
		{"v1", headerV1, proxySeen{remote, local, proxyOfV1, true}},
		{"v1, unknown", "PROXY UNKNOWN\r\n", proxySeen{"", "", worker.Proxy{Version: 1, Local: true}, true}},
		{"v2", proxyV2(0x21, 0x11, blockV2+"\x05\x00\x02id"), proxySeen{remote, local, withTLV, true}},
		{"v2, long", proxyV2(0x21, 0x11, blockV2+"\xe0\x0f\xa0"+strings.Repeat("x", 4000)), proxySeen{remote, local, long, true}},
		{"v2, local", proxyV2(0x20, 0x11, blockV2), proxySeen{"", "", worker.Proxy{Version: 2, Local: true}, true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := newPassing(t, ipc.Hello{}, withProxy, h)
			for _, step := range []int{1, 7, len(test.header), len(test.header) + 5} {
				c := s.connect()
				all := test.header + "hello"
				for rest := all; rest != ""; {
					n := min(step, len(rest))
					c.send(rest[:n])
					rest = rest[n:]
				}
				got := await(t, seen)
				want := test.want
				if want.remote == "" {
					want.remote, want.local = c.LocalAddr().String(), s.address
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got %+v, want %+v", got, want)
				}
				c.expect("hello")
				c.closeWrite()
				c.expectEnd()
				check(t, c.Close())
			}
			s.untilEven(4)
		})
	}
}

// Who sends no header, a wrong one, or is not trusted, is closed and counted.
func TestStreamProxyRefuses(t *testing.T) {
	const half = "PROXY TCP4 192"
	nobody := ipc.Transport{Proxy: true, Trust: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	tests := []struct {
		name                       string
		transport                  ipc.Transport
		hello                      ipc.Hello
		send                       string
		finish                     bool
		untrusted, malformed, late uint64
	}{
		{"not trusted", nobody, ipc.Hello{}, headerV1, false, 1, 0, 0},
		{"junk", withProxy, ipc.Hello{}, "GET / HTTP/1.1\r\n\r\n", false, 0, 1, 0},
		{"a byte of junk", withProxy, ipc.Hello{}, "\x16", false, 0, 1, 0},
		{"malformed", withProxy, ipc.Hello{}, "PROXY TCP4 192.0.2.1 192.0.2.2 01000 2000\r\n", false, 0, 1, 0},
		{"too long", withProxy, ipc.Hello{}, "PROXY UNKNOWN " + strings.Repeat("x", 107), false, 0, 1, 0},
		{"too long, v2", withProxy, ipc.Hello{}, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", false, 0, 1, 0},
		{"missing", withProxy, ipc.Hello{}, "", true, 0, 0, 1},
		{"cut", withProxy, ipc.Hello{}, half, true, 0, 0, 1},
		{"late", withProxy, ipc.Hello{TLSHandshakeTimeoutMS: 50}, "", false, 0, 0, 1},
		{"half late", withProxy, ipc.Hello{TLSHandshakeTimeoutMS: 50}, half, false, 0, 0, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := newPassing(t, test.hello, test.transport, goroutinePer(func(net.Conn) { t.Error("it was accepted") }))
			c := s.connect()
			_, _ = io.WriteString(c, test.send) // it may be refused before
			if test.finish {
				c.closeWrite()
			}
			if got, _ := io.ReadAll(c); len(got) > 0 {
				t.Errorf("got %q", got)
			}
			_ = c.Close() // it may have been reset
			s.untilEven(1)
			got := []uint64{s.entry.ProxyUntrusted.Load(), s.entry.ProxyMalformed.Load(), s.entry.ProxyLate.Load()}
			if want := []uint64{test.untrusted, test.malformed, test.late}; !reflect.DeepEqual(got, want) {
				t.Errorf("%d untrusted, malformed, late; want %d", got, want)
			}
			s.expectCounts(0, 0, 0)
		})
	}
}

// A PROXY header comes before TLS, and the *tls.Conn has its addresses.
func TestStreamProxiedTLS(t *testing.T) {
	seen := make(chan proxySeen, 1)
	both := withProxy
	both.TLS = true
	s, config := newPassing(t, ipc.Hello{}, both, goroutinePer(func(conn net.Conn) {
		seen <- seenOf(conn)
		streamEcho(conn)
	}))
	for range 2 {
		c := s.connect()
		c.send(headerV1)
		secure := c.secure(config)
		secure.send("x")
		secure.expect("x")
		if got, want := await(t, seen), (proxySeen{"192.0.2.1:1000", "192.0.2.2:2000", proxyOfV1, true}); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		check(t, secure.Close())
	}
	// Without a header the ClientHello is none.
	c := s.connect()
	c.send("\x16\x03\x01\x02\x00\x01")
	if got, _ := io.ReadAll(c); len(got) > 0 {
		t.Errorf("got %q", got)
	}
	s.untilEven(3)
	if n := s.entry.ProxyMalformed.Load(); n != 1 {
		t.Errorf("%d malformed", n)
	}
	s.expectCounts(2, 0, 0)
}

// A program can do with a proxied connection what it can do with a socket.
func TestStreamProxiedIsASocket(t *testing.T) {
	s, _ := newPassing(t, ipc.Hello{}, withProxy, goroutinePer(func(conn net.Conn) {
		tcp := conn.(interface {
			io.ReaderFrom
			SetNoDelay(bool) error
			CloseWrite() error
			NetConn() net.Conn
		})
		if _, ok := tcp.NetConn().(*net.TCPConn); !ok {
			t.Errorf("NetConn is a %T", tcp.NetConn())
		}
		check(t, tcp.SetNoDelay(true))
		file, err := os.Open("streams_test.go")
		check(t, err)
		_, err = tcp.ReadFrom(file)
		check(t, err)
		check(t, file.Close())
		check(t, tcp.CloseWrite())
		rest, err := io.ReadAll(conn)
		if string(rest) != "after your end" || err != nil {
			t.Errorf("got %q, %v after CloseWrite", rest, err)
		}
	}))
	want, err := os.ReadFile("streams_test.go")
	check(t, err)
	c := s.connect()
	c.send(headerV1)
	c.expect(string(want))
	c.expectEnd()
	c.send("after your end")
	c.closeWrite()
	s.untilEven(1)
	if _, ok := worker.ProxyOf(c.Conn); ok {
		t.Error("a connection that no Streams listener has returned has a header")
	}
}

// A peer on a Unix socket is trusted, and the client of its header has an IP address.
func TestStreamProxiedUnix(t *testing.T) {
	seen := make(chan proxySeen, 1)
	s, _ := newPassing(t, ipc.Hello{}, ipc.Transport{Proxy: true}, goroutinePer(func(conn net.Conn) {
		seen <- seenOf(conn)
		_ = conn.(interface{ NetConn() net.Conn }).NetConn().(*net.UnixConn)
		streamEcho(conn)
	}))
	for _, header := range []string{headerV1, "PROXY UNKNOWN\r\n"} {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		check(t, err)
		file := os.NewFile(uintptr(pair[0]), "client")
		conn, err := net.FileConn(file)
		check(t, err)
		check(t, file.Close())
		c := newClient(t, conn)
		s.hand(pair[1])
		c.send(header + "x")
		c.expect("x")
		got := await(t, seen)
		if header == headerV1 && (got.remote != "192.0.2.1:1000" || got.local != "192.0.2.2:2000") || got.proxy.Local == (header == headerV1) {
			t.Errorf("%q: got %+v", header, got)
		}
		check(t, c.Close())
	}
	s.untilEven(2)
}

// Sessions and streams of one worker pass the same.
func TestByListenerPassing(t *testing.T) {
	both := withProxy
	both.TLS = true
	s, config := newPassing(t, ipc.Hello{}, both, worker.ByListener(map[string]worker.Handler{
		"streams": goroutinePer(func(conn net.Conn) {
			_, _ = io.ReadFull(conn, make([]byte, 1)) // with input unread, close would reset
			fmt.Fprint(conn, "stream of ", conn.RemoteAddr())
		}),
		"sessions": worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) {
			fmt.Fprint(c, "session of ", c.RemoteAddr())
			return len(in), c.Close()
		}),
	}))
	for listener, want := range map[string]string{
		"streams": "stream of 192.0.2.1:1000", "sessions": "session of 192.0.2.1:1000",
	} {
		c, fd := s.accept()
		s.packet.Reset()
		remote := netip.MustParseAddrPort(c.LocalAddr().String())
		s.packet.Add(&ipc.Envelope{ID: 1, Listener: listener, Remote: remote, Transport: s.transport}, fd)
		check(t, s.packets.Send(s.queue, &s.packet))
		c.send(headerV1)
		secure := c.secure(config)
		secure.send("x")
		secure.expect(want)
		secure.expectEnd()
		check(t, secure.Close())
	}
	s.untilEven(2)
	s.expectCounts(2, 0, 0)
}
