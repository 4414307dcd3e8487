package proxyheader_test

import (
	"testing"

	"github.com/usher-go/usher/internal/proxyheader"
)

// What a header costs a connection, from its last byte on.
func BenchmarkHeader(b *testing.B) {
	for _, bench := range []struct{ name, in string }{
		{"v1", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"},
		{"v1 IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 65535 443\r\n"},
		{"v2", v2(proxy, tcp4, block4)},
		{"v2 checksum", summed(v2(proxy, tcp4, block4, tlv(uniqueID, "0123456789abcdef"), tlv(crc32c, sum0)))},
	} {
		b.Run(bench.name, func(b *testing.B) {
			in := []byte(bench.in + "GET / HTTP/1.1\r\n\r\n")
			b.ReportAllocs()
			for b.Loop() {
				n, err := proxyheader.Length(in)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := proxyheader.Parse(in[:n]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
