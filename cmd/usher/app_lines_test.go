package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNextLine(t *testing.T) {
	longest := strings.Repeat("x", maxLine)
	tests := []struct {
		name string
		in   string
		line string
		size int
		bad  bool
	}{
		{name: "nothing"},
		{name: "no end yet", in: "ab", line: "ab"},
		{name: "LF", in: "ab\ncd\n", line: "ab", size: 3},
		{name: "CRLF", in: "ab\r\ncd", line: "ab", size: 4},
		{name: "empty", in: "\n", size: 1},
		{name: "empty with CR", in: "\r\n", size: 2},
		{name: "half an ending", in: "ab\r", line: "ab"},
		{name: "CR inside", in: "a\rb\n", line: "a\rb", size: 4},
		{name: "NUL and high bytes", in: "\x00\xff\n", line: "\x00\xff", size: 3},
		{name: "longest", in: longest + "\n", line: longest, size: maxLine + 1},
		{name: "longest with CR", in: longest + "\r\n", line: longest, size: maxLine + 2},
		{name: "longest, half an ending", in: longest + "\r", line: longest},
		{name: "too long", in: longest + "x\n", bad: true},
		{name: "too long without an end", in: longest + "x", bad: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			line, size, err := nextLine([]byte(test.in))
			if string(line) != test.line || size != test.size || (err != nil) != test.bad {
				t.Errorf("got %.20q, %d, %v; want %.20q, %d, error %v", line, size, err, test.line, test.size, test.bad)
			}
		})
	}
}

// Whatever the bytes, the lines found and their endings are all of the input.
func TestNextLineLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOf(rapid.SampledFrom([]byte("a\x00\r\n"))).Draw(t, "in")
		rest := in
		for {
			line, size, err := nextLine(rest)
			if err != nil {
				t.Fatal(err)
			}
			if size == 0 {
				break
			}
			ending := rest[len(line):size]
			if string(ending) != "\n" && string(ending) != "\r\n" || bytes.ContainsRune(line, '\n') {
				t.Fatalf("line %q, ending %q of %q", line, ending, rest)
			}
			rest = rest[size:]
		}
		if bytes.ContainsRune(rest, '\n') {
			t.Fatalf("left %q", rest)
		}
	})
}

func TestAppendPrefix(t *testing.T) {
	tests := []struct {
		name   string
		client netip.AddrPort
		want   string
	}{
		{"IPv4", netip.MustParseAddrPort("192.0.2.1:5000"), "7 192.0.2.1 5000 "},
		{"IPv6", netip.MustParseAddrPort("[2001:db8::1]:80"), "7 2001:db8::1 80 "},
		{"Unix", netip.AddrPort{}, "7 - - "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := string(appendPrefix(nil, 7, test.client)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
