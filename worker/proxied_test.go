package worker_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// behindProxy is what connections pass that come from a proxy on this machine.
var behindProxy = ipc.Transport{Proxy: true, Trust: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// teller answers each line by what a connection's header has said. It has a state, so it
// sees what is there in Open of a connection that has moved.
type teller struct{ opened string }

func (h *teller) Open(c *worker.Conn) (worker.Session, error) { return &teller{tell(c)}, nil }

func tell(c *worker.Conn) string {
	p, ok := c.Proxy()
	return fmt.Sprint(c.RemoteAddr(), " to ", c.LocalAddr(), " by ", ok, p.Version, p.Local, p.Source, p.Destination, p.TLVs, "\n")
}

func (h *teller) Data(c *worker.Conn, in []byte) (int, error) {
	if now := tell(c); now != h.opened {
		return 0, fmt.Errorf("now %s, in Open %s", now, h.opened)
	}
	_, err := c.Write([]byte(strings.Repeat(h.opened, strings.Count(string(in), "\n"))))
	return len(in), err
}

func (h *teller) MarshalBinary() ([]byte, error) { return []byte(h.opened), nil }

func (h *teller) UnmarshalBinary(state []byte) error {
	if h.opened != string(state) {
		return fmt.Errorf("opened by %s, before by %s", h.opened, state)
	}
	return nil
}

// header2 is a header of version 2 for TCP over IPv4, from 192.0.2.7:4000 to
// 198.51.100.1:443, with TLVs; local: of the command LOCAL.
func header2(local bool, tlvs string) string {
	command := byte(0x21)
	if local {
		command = 0x20
	}
	h := "\r\n\r\n\x00\r\nQUIT\n" + string([]byte{command, 0x11})
	h += string(binary.BigEndian.AppendUint16(nil, uint16(12+len(tlvs))))
	return h + "\xc0\x00\x02\x07\xc6\x33\x64\x01\x0f\xa0\x01\xbb" + tlvs
}

// header1 is a header of version 1.
const header1 = "PROXY TCP4 192.0.2.7 198.51.100.1 4000 443\r\n"

// The header's addresses are the connection's, and all that it has said moves along.
func TestProxyHeader(t *testing.T) {
	tests := []struct{ name, header, want string }{
		{"version 1", header1,
			"192.0.2.7:4000 to 198.51.100.1:443 by true 1 false 192.0.2.7:4000 198.51.100.1:443 []\n"},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 4000 443\r\n",
			"[2001:db8::7]:4000 to [2001:db8::1]:443 by true 1 false [2001:db8::7]:4000 [2001:db8::1]:443 []\n"},
		{"version 1, unknown", "PROXY UNKNOWN\r\n",
			"CLIENT to SERVER by true 1 true invalid AddrPort invalid AddrPort []\n"},
		{"version 2", header2(false, "\x02\x00\x01a\xe0\x00\x02bc"),
			"192.0.2.7:4000 to 198.51.100.1:443 by true 2 false 192.0.2.7:4000 198.51.100.1:443 [{2 [97]} {224 [98 99]}]\n"},
		{"version 2, local", header2(true, ""),
			"CLIENT to SERVER by true 2 true invalid AddrPort invalid AddrPort []\n"},
		{"to any address", "PROXY TCP4 192.0.2.7 0.0.0.0 4000 443\r\n",
			"192.0.2.7:4000 to 0.0.0.0:443 by true 1 false 192.0.2.7:4000 0.0.0.0:443 []\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			old, _ := newPassing(t, ipc.Hello{}, behindProxy, &teller{})
			next, _ := newPassing(t, ipc.Hello{}, behindProxy, &teller{})
			c := old.connect()
			want := strings.NewReplacer("CLIENT", c.LocalAddr().String(), "SERVER", old.address).Replace(test.want)
			c.send(test.header + "a line\nand another\n")
			c.expect(want + want)
			c.send("\n")
			c.expect(want)
			old.move(next)
			c.send("\n")
			c.expect(want)
			c.closeWrite()
			c.expectEnd()
		})
	}
}

// A connection moves with a part of its header, wherever it is cut.
func TestMoveInTheMiddleOfAHeader(t *testing.T) {
	for _, header := range []string{header1, header2(false, "\x02\x00\x01a")} {
		old, _ := newPassing(t, ipc.Hello{}, behindProxy, &teller{})
		c := old.connect()
		for part := range strings.SplitSeq(header, "") {
			c.send(part)
			next, _ := newPassing(t, ipc.Hello{}, behindProxy, &teller{})
			old.move(next)
			old = next
		}
		c.send("\n")
		c.expect(tellOf(header))
		check(t, c.Close())
	}
}

func tellOf(header string) string {
	version, tlvs := 1, "[]"
	if header[0] != 'P' {
		version, tlvs = 2, "[{2 [97]}]"
	}
	return fmt.Sprintf("192.0.2.7:4000 to 198.51.100.1:443 by true %d false 192.0.2.7:4000 198.51.100.1:443 %s\n", version, tlvs)
}

// Who is not to be believed, or says something else, is closed and counted, and no
// session hears of it.
func TestProxyHeaderRefused(t *testing.T) {
	elsewhere := behindProxy
	elsewhere.Trust = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	untrusted := func(s *rig) uint64 { return s.entry.ProxyUntrusted.Load() }
	malformed := func(s *rig) uint64 { return s.entry.ProxyMalformed.Load() }
	missing := func(s *rig) uint64 { return s.entry.ProxyLate.Load() }
	tests := []struct {
		name      string
		transport ipc.Transport
		send      string
		counted   func(s *rig) uint64
	}{
		{"untrusted", elsewhere, header1 + "x", untrusted},
		{"another protocol", behindProxy, "GET / HTTP/1.1\r\n\r\n", malformed},
		{"TLS", behindProxy, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", malformed},
		{"without end", behindProxy, "PROXY TCP4 " + strings.Repeat("1", 200), malformed},
		{"version 3", behindProxy, "\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x0c", malformed},
		{"large", behindProxy, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", malformed},
		{"no address", behindProxy, "PROXY TCP4 192.0.2.300 198.51.100.1 4000 443\r\n", malformed},
		{"nothing", behindProxy, "", missing},
		{"not all of it", behindProxy, header1[:20], missing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := newPassing(t, ipc.Hello{}, test.transport, worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
				t.Error("it was opened")
				return worker.DataFunc(echo), nil
			}))
			c := s.connect()
			c.send(test.send)
			if test.counted(s) == 0 {
				_ = c.Conn.(interface{ CloseWrite() error }).CloseWrite() // it may be closed
			}
			s.until(func() bool { return s.entry.Closed.Load() == 1 })
			all := s.entry.ProxyUntrusted.Load() + s.entry.ProxyMalformed.Load() + s.entry.ProxyLate.Load()
			if n := test.counted(s); n != 1 || all != 1 || s.entry.HandshakesRefused.Load() != 0 {
				t.Errorf("counted %d, of %d in all", n, all)
			}
		})
	}
}

// Without a header's bytes a Unix peer is believed, as whoever may open that socket.
func TestProxyHeaderByUnixSocket(t *testing.T) {
	nobody := behindProxy
	nobody.Trust = nil
	s, _ := newPassing(t, ipc.Hello{}, nobody, &teller{})
	c := s.connectUnix()
	c.send(header1 + "\n")
	c.expect(tellOf(header1))
	check(t, c.Close())
}
