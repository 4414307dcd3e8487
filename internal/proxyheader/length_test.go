package proxyheader_test

import (
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/proxyheader"
)

// What Length says of the first bytes of in, with each number of them.
func expectLengths(t *testing.T, in string, decided int, want int, refused bool) {
	t.Helper()
	for have := range len(in) + 1 {
		n, err := proxyheader.Length([]byte(in[:have]))
		switch {
		case have < decided && (n != 0 || err != nil):
			t.Fatalf("after %d bytes: %d, %v; they may become a header", have, n, err)
		case have >= decided && (n != want || (err != nil) != refused):
			t.Fatalf("after %d bytes: %d, %v; want %d, an error: %v", have, n, err, want, refused)
		}
	}
}

func TestLength(t *testing.T) {
	for _, test := range good {
		t.Run(test.name, func(t *testing.T) {
			expectLengths(t, test.in, len(test.in), len(test.in), false)
			for _, next := range []string{"\n", "\r\n", "GET / HTTP/1.1\r\n\r\n", test.in} {
				expectLengths(t, test.in+next, len(test.in), len(test.in), false)
			}
		})
	}
}

// Junk is refused by the first byte that makes it junk.
func TestLengthRefuses(t *testing.T) {
	const line = "PROXY UNKNOWN "
	tests := []struct {
		name, in string
		at       int // the byte, from 1
	}{
		{"TLS", "\x16\x03\x01\x02\x00", 1},
		{"HTTP", "GET / HTTP/1.1\r\n", 1},
		{"zero", "\x00", 1},
		{"POST", "POST / HTTP/1.1\r\n", 2},
		{"PROPFIND", "PROPFIND / HTTP/1.1\r\n", 4},
		{"small letters", "Proxy", 2},
		{"a tab", "PROXY\tTCP4", 6},
		{"an empty line", "\r\n\r\nGET", 5},
		{"LF", "\n", 1},
		{"the end of the signature", signature[:11] + "\r", 12},
		{"version 1 in binary", signature + "\x11\x11\x00\x00", 13},
		{"version 3 in binary", signature + "\x31\x11\x00\x00", 13},
		{"LF without CR", "PROXY TCP4 1.2.3.4\nx", 19},
		{"LF at once", "PROXY \n", 7},
		{"a line too long", line + strings.Repeat("x", 200), proxyheader.MaxV1},
		{"too long by one", line + strings.Repeat("x", proxyheader.MaxV1-len(line)-1) + "\r\n", proxyheader.MaxV1},
		{"4097 bytes in all", signature + "\x21\x11\x0f\xf1", 16},
		{"65551 bytes in all", signature + "\x20\x00\xff\xff", 16},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { expectLengths(t, test.in, test.at, 0, true) })
	}
}
