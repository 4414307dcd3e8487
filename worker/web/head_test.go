package web

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestHeadEnd(t *testing.T) {
	tests := []struct {
		name, in string
		want     int
	}{
		{"nothing", "", 0},
		{"one line", "GET / HTTP/1.1\r\n", 0},
		{"half of the end", "GET / HTTP/1.1\r\n\r", 0},
		{"CR LF", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27},
		{"CR LF, and more", "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n\r\n", 27},
		{"LF LF", "GET / HTTP/1.1\nHost: x\n\nbody", 24},
		{"LF CR LF", "GET / HTTP/1.1\nHost: x\n\r\nbody", 25},
		{"CR LF LF", "GET / HTTP/1.1\r\nHost: x\r\n\nbody", 26},
		{"a line of a space", "GET / HTTP/1.1\r\nHost: x\r\n \r\n\r\n", 30},
		{"a line of a CR", "GET / HTTP/1.1\r\nHost: x\r\n\r\r\n", 0},
		{"CRs", "\r\r\r\r", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for from := range len(test.in) {
				if headEnd([]byte(test.in[:from]), 0) != 0 {
					break // it would not have been searched on
				}
				if got := headEnd([]byte(test.in), from); got != test.want {
					t.Errorf("%d from %d on, want %d", got, from, test.want)
				}
			}
		})
	}
}

// TestHeadInPieces: the end is the same wherever a head is cut.
func TestHeadInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := []byte(rapid.StringMatching("[\r\na: ]{0,40}").Draw(t, "in"))
		want, from := headEnd(in, 0), 0
		for from < len(in) {
			to := rapid.IntRange(from+1, len(in)).Draw(t, "to")
			if n := headEnd(in[:to], from); n != 0 {
				if n != want {
					t.Fatalf("%d in pieces, want %d", n, want)
				}
				return
			}
			from = to
		}
		if want != 0 {
			t.Fatalf("nothing in pieces, want %d", want)
		}
	})
}

func TestSurveyHead(t *testing.T) {
	const first = "POST / HTTP/1.1\r\n"
	tests := []struct {
		name, lines string
		want        fieldCounts
	}{
		{"nothing", "", fieldCounts{}},
		{"a host", "Host: x\r\n", fieldCounts{hosts: 1}},
		{"in any case", "hOsT: x\r\ncontent-LENGTH: 1\r\nTRANSFER-encoding: chunked\r\n", fieldCounts{1, 1, 1, false}},
		{"doubled", "Content-Length: 1\r\nContent-Length: 1\r\n", fieldCounts{lengths: 2}},
		{"by line feeds alone", "Host: x\nContent-Length: 1\n", fieldCounts{hosts: 1, lengths: 1}},
		{"in a line that goes on", "A: b\r\n Content-Length: 1\r\n\tHost: x\r\n", fieldCounts{}},
		{"in a value", "A: Host: x\r\n", fieldCounts{}},
		{"a space before the colon", "Content-Length : 1\r\n", fieldCounts{spaced: true}},
		{"a space in the name", "A b: 1\r\n", fieldCounts{spaced: true}},
		{"names as long", "Hose: x\r\nContent-Lengtg: 1\r\nTransfer_Encoding: x\r\n", fieldCounts{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := countFields([]byte(first + test.lines + "\r\n")); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

// FuzzHead: where we find a head's end, http.ReadRequest has read just as much, if it can
// read the request at all; where we find none, it finds none; and what countFields counts
// is what it reads.
func FuzzHead(f *testing.F) {
	for _, v := range vectors {
		f.Add([]byte(v.input))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		source := bytes.NewReader(in)
		r := bufio.NewReaderSize(source, 4<<10)
		request, err := http.ReadRequest(r)
		consumed := len(in) - source.Len() - r.Buffered()
		n := headEnd(in, 0)
		if err == nil && consumed != n {
			t.Fatalf("a head of %d bytes, http.ReadRequest reads %d", n, consumed)
		}
		if n == 0 && err == nil {
			t.Fatalf("no end, but http.ReadRequest reads %d bytes", consumed)
		}
		early := tooEarlyError(in[:max(n, 0)], 0)
		if n > 0 && err == nil && early != nil {
			t.Fatalf("refused early: %v", early)
		}
		if n == 0 || err != nil {
			return
		}
		s := countFields(in[:n])
		if s.hosts > 1 || s.hosts == 0 && request.Host != request.URL.Host {
			t.Fatalf("%+v, Host %q", s, request.Host)
		}
		for name := range request.Header {
			if strings.Contains(name, " ") && !s.spaced {
				t.Fatalf("countFields overlooks %q", name)
			}
		}
		if len(request.TransferEncoding) > 0 && s.encodings != 1 {
			t.Fatalf("%+v, of chunks", s)
		}
		if len(request.Header["Content-Length"]) > 0 && s.lengths == 0 {
			t.Fatalf("%+v, of a length", s)
		}
	})
}

// FuzzTooEarly: what is refused early, in pieces, http.ReadRequest refuses as a whole, be
// it that the head ends at once, or never.
func FuzzTooEarly(f *testing.F) {
	for _, v := range vectors {
		f.Add([]byte(v.input), uint8(7))
	}
	f.Fuzz(func(t *testing.T, in []byte, step uint8) {
		if len(in) > 2000 {
			return // the reference reads all anew for each piece
		}
		from := 0
		for to := 0; to < len(in); from = to {
			to = min(to+1+int(step), len(in))
			if headEnd(in[:to], from) > 0 {
				return
			}
			early := tooEarlyError(in[:to], from)
			_, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(in[:to]), strings.NewReader("\r\n\r\n"))))
			if early != nil && err == nil {
				t.Fatalf("%q refused early: %v", in[:to], early)
			}
			if early != nil {
				return
			}
			// Whole lines that are wrong are found early.
			lines := in[:bytes.LastIndexByte(in[:to], '\n')+1]
			if len(lines) == 0 {
				continue
			}
			_, err = http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(lines), strings.NewReader("\r\n"))))
			if err != nil && strings.Contains(err.Error(), "malformed") && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%q not refused: %v", lines, err)
			}
		}
	})
}
