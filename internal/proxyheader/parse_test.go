package proxyheader_test

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/proxyheader"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// v2 makes a header of version 2. The length is that of the parts.
func v2(command, family byte, parts ...string) string {
	block := strings.Join(parts, "")
	fixed := append([]byte(signature), command, family)
	return string(binary.BigEndian.AppendUint16(fixed, uint16(len(block)))) + block
}

func tlv(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

// summed sets the checksum of a header whose last TLV is one of zeros.
func summed(header string) string {
	sum := crc32.Checksum([]byte(header), crc32.MakeTable(crc32.Castagnoli))
	return string(binary.BigEndian.AppendUint32([]byte(header[:len(header)-4]), sum))
}

const (
	local, proxy                       = 0x20, 0x21
	unspec, tcp4, udp4, tcp6, udp6     = 0, 0x11, 0x12, 0x21, 0x22
	unixStream, unixDatagram           = 0x31, 0x32
	alpn, crc32c, noop, uniqueID, ours = 1, 3, 4, 5, 0xe0

	block4 = "\xc0\xa8\x00\x01\xc0\xa8\x00\x0b\xdc\x04\x01\xbb" // 192.168.0.1:56324 to 192.168.0.11:443
	block6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xff\xff\x00\x00"
	blockMapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\xa8\x00\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\xa8\x00\x0b\xdc\x04\x01\xbb"
	sum0 = "\x00\x00\x00\x00"
)

var blockUnix = "/run/client" + strings.Repeat("\x00", 108-11) + strings.Repeat("x", 108)

// header returns what a header says. An empty address is none.
func header(version int, source, destination string, tlvs ...proxyheader.TLV) proxyheader.Header {
	h := proxyheader.Header{Version: version, Local: source == "", TLVs: tlvs}
	if source != "" {
		h.Source, h.Destination = netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
	}
	return h
}

var (
	plain4  = header(2, "192.168.0.1:56324", "192.168.0.11:443")
	isLocal = header(2, "", "")
)

var good = []struct {
	name, in string
	want     proxyheader.Header
}{
	{"the specification's example", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", header(1, "192.168.0.1:56324", "192.168.0.11:443")},
	{"v1, the longest of IPv4", "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", header(1, "255.255.255.255:65535", "255.255.255.255:65535")},
	{"v1, the longest of IPv6", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff FFFF:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 0\r\n",
		header(1, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:0")},
	{"v1, short IPv6", "PROXY TCP6 2001:db8::1 :: 1 2\r\n", header(1, "[2001:db8::1]:1", "[::]:2")},
	{"v1, IPv4 in IPv6", "PROXY TCP6 ::ffff:192.168.0.1 ::ffff:c0a8:b 1 2\r\n", header(1, "192.168.0.1:1", "192.168.0.11:2")},
	{"v1, unknown", "PROXY UNKNOWN\r\n", header(1, "", "")},
	{"v1, the longest unknown", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", header(1, "", "")},
	{"v1, unknown, and anything", "PROXY UNKNOWN  \x00\xff\r \r\r\n", header(1, "", "")},

	{"v2, IPv4", v2(proxy, tcp4, block4), plain4},
	{"v2, IPv6", v2(proxy, tcp6, block6), header(2, "[2001:db8::1]:65535", "[2001:db8::2]:0")},
	{"v2, IPv4 in IPv6", v2(proxy, tcp6, blockMapped), plain4},
	{"v2, UDP", v2(proxy, udp4, block4), plain4},
	{"v2, UDP over IPv6", v2(proxy, udp6, blockMapped), plain4},
	{"v2, Unix", v2(proxy, unixStream, blockUnix), isLocal},
	{"v2, Unix datagrams, a TLV", v2(proxy, unixDatagram, blockUnix, tlv(alpn, "h2")), header(2, "", "", proxyheader.TLV{Type: alpn, Value: []byte("h2")})},
	{"v2, unspecified", v2(proxy, unspec), isLocal},
	{"v2, unspecified, a TLV", v2(proxy, unspec, tlv(alpn, "h2")), header(2, "", "", proxyheader.TLV{Type: alpn, Value: []byte("h2")})},
	{"local", v2(local, unspec), isLocal},
	{"local with addresses", v2(local, tcp4, block4), isLocal},
	{"local with less", v2(local, tcp6, block4), isLocal},
	{"local with TLVs", v2(local, unspec, tlv(uniqueID, "id")), isLocal},
	{"local with a wrong checksum", v2(local, tcp4, block4, tlv(crc32c, "0000")), isLocal},
	{"local of an unknown family with junk", v2(local, 0x4f, "\xff\xff"), isLocal},
	{"TLVs", v2(proxy, tcp4, block4, tlv(alpn, "h2"), tlv(noop, "padding"), tlv(noop, ""), tlv(ours, ""), tlv(alpn, "x")), proxyheader.Header{
		Version: 2, Source: plain4.Source, Destination: plain4.Destination,
		TLVs: []proxyheader.TLV{{Type: alpn, Value: []byte("h2")}, {Type: ours, Value: []byte{}}, {Type: alpn, Value: []byte("x")}},
	}},
	{"as long as may be", v2(proxy, tcp4, block4, tlv(noop, strings.Repeat("x", proxyheader.MaxV2-16-12-3))), plain4},
	{"local, as long as may be", v2(local, unspec, strings.Repeat("x", proxyheader.MaxV2-16)), isLocal},
}

var bad = []struct{ name, in string }{
	{"nothing", ""},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
	{"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
	{"HTTP that begins alike", "PROPFIND / HTTP/1.1\r\n\r\n"},
	{"small letters", "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"},
	{"a space before", " PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"},
	{"no space", "PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n"},
	{"nothing behind", "PROXY\r\n"},
	{"a space behind", "PROXY \r\n"},
	{"two spaces", "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n"},
	{"two spaces between", "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n"},
	{"a space at the end", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"},
	{"more at the end", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"},
	{"less", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"},
	{"tabs", "PROXY\tTCP4\t1.2.3.4\t1.2.3.4\t1\t2\r\n"},
	{"an unknown protocol", "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"},
	{"more than UNKNOWN", "PROXY UNKNOWNS\r\n"},
	{"LF alone", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"},
	{"CR alone", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r"},
	{"LF alone within", "PROXY UNKNOWN \n \r\n"},
	{"CR within", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n"},
	{"a line of 108 bytes", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n"},
	{"a zero that leads, port", "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"},
	{"a zero that leads, address", "PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n"},
	{"a sign", "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"},
	{"port 65536", "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"},
	{"three numbers", "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"},
	{"256", "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n"},
	{"IPv6 as IPv4", "PROXY TCP4 ::1 1.2.3.4 1 2\r\n"},
	{"IPv4 in IPv6 as IPv4", "PROXY TCP4 ::ffff:1.2.3.4 1.2.3.4 1 2\r\n"},
	{"IPv4 as IPv6", "PROXY TCP6 1.2.3.4 ::1 1 2\r\n"},
	{"a zone", "PROXY TCP6 fe80::1%lo ::1 1 2\r\n"},
	{"a zone of IPv4 in IPv6", "PROXY TCP6 ::ffff:1.2.3.4%lo ::1 1 2\r\n"},
	{"a name", "PROXY TCP4 localhost 1.2.3.4 1 2\r\n"},
	{"two lines", "PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n"},

	{"version 1 in binary", signature + "\x11\x11\x00\x00"},
	{"version 3", v2(0x31, tcp4, block4)},
	{"an unknown command", v2(0x22, tcp4, block4)},
	{"an unknown family", v2(proxy, 0x41, block4)},
	{"an unknown protocol", v2(proxy, 0x13, block4)},
	{"a family without protocol", v2(proxy, 0x10, block4)},
	{"a protocol without family", v2(proxy, 0x01, block4)},
	{"addresses cut", v2(proxy, tcp4, block4[1:])},
	{"addresses of IPv6 cut", v2(proxy, tcp6, block4)},
	{"addresses of Unix cut", v2(proxy, unixStream, block6)},
	{"no addresses", v2(proxy, tcp4)},
	{"more than the length", v2(proxy, tcp4, block4) + "x"},
	{"less than the length", strings.TrimSuffix(v2(proxy, tcp4, block4), "\xbb")},
	{"a TLV of one byte", v2(proxy, tcp4, block4, "\x01")},
	{"a TLV of two bytes", v2(proxy, tcp4, block4, "\x01\x00")},
	{"a TLV that is cut", v2(proxy, tcp4, block4, "\x01\x00\x01")},
	{"a TLV that is longer than all", v2(proxy, tcp4, block4, "\x04\xff\xff")},
	{"junk after UNSPEC", v2(proxy, unspec, "\x01\x01")},
	{"a wrong checksum", v2(proxy, tcp4, block4, tlv(crc32c, "\x00\x00\x00\x01"))},
	{"a short checksum", v2(proxy, tcp4, block4, tlv(crc32c, ""))},
	{"a long checksum", v2(proxy, tcp4, block4, tlv(crc32c, "\x00\x00\x00\x00\x00"))},
	{"two checksums", summed(v2(proxy, tcp4, block4, tlv(crc32c, sum0), tlv(crc32c, sum0)))},
	{"longer than may be", v2(proxy, tcp4, block4, tlv(noop, strings.Repeat("x", proxyheader.MaxV2-16-12-3+1)))},
	{"local, longer than may be", v2(local, unspec, strings.Repeat("x", proxyheader.MaxV2-16+1))},
}

func TestParse(t *testing.T) {
	for _, test := range good {
		t.Run(test.name, func(t *testing.T) {
			in := []byte(test.in)
			got, err := proxyheader.Parse(in)
			if err != nil {
				t.Fatal(err)
			}
			if string(in) != test.in {
				t.Error("Parse has changed the header")
			}
			clear(in) // nothing of it may have been kept
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	for _, test := range bad {
		t.Run(test.name, func(t *testing.T) {
			if got, err := proxyheader.Parse([]byte(test.in)); err == nil {
				t.Errorf("%q is a header: %+v", test.in, got)
			}
		})
	}
}

// The checksum covers every byte, wherever its TLV is.
func TestChecksum(t *testing.T) {
	rest := tlv(alpn, "h2")
	whole := []byte(v2(proxy, tcp4, block4, tlv(noop, "xx"), tlv(crc32c, sum0), rest))
	at := len(whole) - len(rest) - 4
	binary.BigEndian.PutUint32(whole[at:], crc32.Checksum(whole, crc32.MakeTable(crc32.Castagnoli)))
	got, err := proxyheader.Parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	want := []proxyheader.TLV{{Type: crc32c, Value: whole[at : at+4]}, {Type: alpn, Value: []byte("h2")}}
	if !reflect.DeepEqual(got.TLVs, want) {
		t.Errorf("got %v, want %v", got.TLVs, want)
	}
	types := []int{28, 33} // of the TLVs before the last: another one than CRC32c may be any
	for i := range whole {
		for bit := range 8 {
			whole[i] ^= 1 << bit
			got, err := proxyheader.Parse(whole)
			if err == nil && !got.Local && !slices.Contains(types, i) {
				t.Errorf("bit %d of byte %d does not matter", bit, i)
			}
			whole[i] ^= 1 << bit
		}
	}
}

// The checksum's example of RFC 3720, appendix B.4, which RFC 4960 shares: that Go's
// polynomial is the one that is meant.
func TestCastagnoli(t *testing.T) {
	if got := crc32.Checksum(make([]byte, 32), crc32.MakeTable(crc32.Castagnoli)); got != 0x8a9136aa {
		t.Errorf("got %#x", got)
	}
}
